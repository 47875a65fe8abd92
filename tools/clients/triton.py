"""Triton's client of the Open Inference Protocol: ``python triton.py GATEWAY TEXT``."""

import json
import sys
from importlib.metadata import version

import numpy as np
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

gateway, text = sys.argv[1:]
client = triton.InferenceServerClient(gateway.partition("://")[2])
assert client.is_server_live()
assert client.is_model_ready("ner-en")
(tensor,) = client.get_model_metadata("ner-en")["inputs"]
inputs = triton.InferInput(tensor["name"], [1], tensor["datatype"])
inputs.set_data_from_numpy(np.array([text], dtype=object), binary_data=False)
(answer,) = client.infer("ner-en", [inputs]).as_numpy("entities")
try:
    client.infer("ner-xx", [inputs])
    refusal = ""
except InferenceServerException as error:
    refusal = str(error)
assert "Models are" in refusal or "ner-en" in refusal, refusal
entities = [(each["start"], each["end"], each["label"]) for each in json.loads(answer)]
print(json.dumps({"version": version("tritonclient"), "entities": entities}))
