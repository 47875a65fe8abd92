"""The pretrained base model: a published pipeline, used as it was shipped."""
