# In a clone, with the bundled samples: documents, a tiny encoder trained and exported to ONNX, an ensemble of it alone, its scores.
python - <<'LINES'
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
letters = [chr(code) for code in range(33, 127)]
pieces = [*special.values(), *letters, *("##" + letter for letter in letters)]
words = Tokenizer(models.WordPiece({piece: at for at, piece in enumerate(pieces)}, unk_token="[UNK]"))
words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
PreTrainedTokenizerFast(tokenizer_object=words, **special).save_pretrained("tiny")
size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
BertModel(BertConfig(vocab_size=len(pieces), **size), add_pooling_layer=False).save_pretrained("tiny")
LINES
sed -i 's/^profile: .*/profile: demo/; s/encoder: packaged:e5-small/encoder: tiny/; s/^  legs: .*/  legs: [transformer]/' params.yaml
ner prepare --language en
ner train transformer --language en
ner export --language en
test -s data/out/demo/en/legs/transformer/model.onnx
ner ensemble --language en
ner evaluate --language en
grep -q '"ensemble"' metrics/demo/en.json
ner behave --language en --capability plain
