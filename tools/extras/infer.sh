# The folder of a model in one's own process; $1 is such a folder.
python -W ignore - "$1" <<'LINES'
import sys

from multiner import load

model = load(sys.argv[1])
(result,) = model.predict(["Ada saw Oslo again."])
assert [(each.text, each.label) for each in result.entities] == [("Ada", "PER"), ("Oslo", "LOC")]
assert len(result.to_conll()) == 5
assert [each.text for each in result.to_doc().ents] == ["Ada", "Oslo"]
LINES
if python -c 'import multiner; multiner.load("ner-en")' 2>message; then exit 1; fi
grep -q "pip install 'ner-pipeline\[serve\]'" message
