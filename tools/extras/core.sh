# The core: the client, its results and their conversions, and the command.
python - <<'LINES'
import json

import multiner
from multiner import Client, Result

assert Client().endpoint == "http://127.0.0.1:8000"
entity = {"start": 0, "end": 3, "text": "Ada", "label": "PER", "score": 0.9, "legs": {}}
answer = {"language": "en", "model": {"name": "ner-en", "version": "1"}, "entities": [entity]}
result = Result.from_json(answer, "Ada saw Oslo again.")
assert Result.from_json(json.loads(json.dumps(result.to_json())), result.text) == result
assert multiner.__version__
LINES
ner --help | grep -q predict
ner --version
if ner up 2>message; then exit 1; fi
grep -q "pip install 'ner-pipeline\[pipeline\]'" message
if ner status 2>message; then exit 1; fi
grep -q "pip install 'ner-pipeline\[serve\]'" message
if grep Traceback message; then exit 1; fi
