"""The transformer base model: fine-tuning an encoder, exporting it, and inference."""
