"""Hugging Face's Python client: ``python hugging_face.py GATEWAY TEXT``."""

import json
import sys

import huggingface_hub

gateway, text = sys.argv[1:]
client = huggingface_hub.InferenceClient(model=f"{gateway}/v1/en/token-classification")
groups = client.token_classification(text)
tokens = client.token_classification(text, aggregation_strategy="none")
assert all(text[token.start : token.end] == token.word for token in tokens)
assert sum(token.entity.startswith("B-") for token in tokens) == len(groups)
entities = [(group.start, group.end, group.entity_group) for group in groups]
print(json.dumps({"version": huggingface_hub.__version__, "entities": entities}))
