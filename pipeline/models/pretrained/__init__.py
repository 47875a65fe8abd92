"""The pretrained base model: a published pipeline, used without training. params.yaml calls it ``shipped``."""
