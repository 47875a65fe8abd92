"""The tiny encoder of the models' tests."""

from tests.pipeline.models.conftest import forgotten_precision, tiny_encoder

__all__ = ["forgotten_precision", "tiny_encoder"]
