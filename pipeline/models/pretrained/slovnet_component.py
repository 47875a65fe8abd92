"""The spaCy component ``slovnet_ner``: slovnet's pretrained Russian CNN-CRF (github.com/natasha/slovnet).

It keeps the tokens of a Doc, sets ``doc.ents``, and gives the marginals of the CRF as label probabilities. Import this
module before ``spacy.load``: the import registers the factory.
"""

# No postponed annotations here: spaCy builds its settings schema from the signature of the factory.

import shutil
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from spacy.language import Language
from spacy.pipeline import Pipe
from spacy.tokens import Doc
from spacy.tokens import Span as SpacySpan

from multiner.pipeline.core.errors import NerError
from multiner.pipeline.core.iob2 import decode
from multiner.pipeline.models.pretrained.crf import Chain

NAME = "slovnet_ner"
MODEL, VECTORS = "slovnet_ner.tar", "navec.tar"


class SlovnetNer(Pipe):
    """The NER of slovnet; :meth:`read` or :meth:`from_disk` loads the weights.

    Each Doc is processed alone, without padding. In a batch, slovnet's first convolution reads the embeddings of the
    padding, so that the scores of a text depend on the other texts; it also takes a token ``<pad>`` for padding.
    """

    def __init__(self, name: str = NAME) -> None:
        self.name = name
        self._files: dict[str, Path] = {}
        self._model: Any = None
        self._encoder: Any = None
        self._chain: Chain
        self._tags: list[int] = []
        self._labels: list[str] = []

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels, in the order of :func:`multiner.pipeline.core.iob2.bio_labels`: O, B-PER, I-PER, B-LOC, …"""
        return tuple(self._labels)

    def read(self, model: Path, vectors: Path) -> "SlovnetNer":
        """Load slovnet's tar and the navec that it was trained with; returns itself. Raises NerError for a bad file."""
        # Imported here: a pipeline without this component needs neither package.
        from navec import Navec
        from slovnet import NER

        remedy = "Bring them: ner pull."
        for path in (model, vectors):
            if not path.is_file():
                raise NerError("weights of slovnet are missing", where=str(path), remedy=remedy)
        try:
            ner = NER.load(str(model)).navec(Navec.load(str(vectors)))
        except (tarfile.TarError, KeyError, ValueError, EOFError, OSError) as error:
            raise NerError(f"no weights of slovnet: {error}", where=str(model), remedy=remedy) from None
        tags = ner.infer.decoder.tags_vocab.items
        self._tags = [index for index, tag in enumerate(tags) if tag == "O" or tag[1:2] == "-"]  # without <pad>
        self._labels = [tags[index] for index in self._tags]
        self._model, self._encoder = ner.infer.model, ner.infer.encoder
        self._chain = Chain(self._labels, self._model.head.crf.transitions.array[np.ix_(self._tags, self._tags)])
        self._files = {MODEL: model, VECTORS: vectors}
        return self

    def probabilities(self, docs: Sequence[Doc]) -> list[np.ndarray]:
        """One float32 array ``[tokens, labels]`` per Doc; rows sum to 1."""
        return [self._chain.marginals(self._emissions(doc)).astype(np.float32) for doc in docs]

    def _emissions(self, doc: Doc) -> np.ndarray:
        """The scores ``[tokens, labels]`` of the CNN."""
        if not len(doc):
            return np.zeros((0, len(self._labels)), dtype=np.float32)
        words, shapes = (np.array([ids]) for ids in self._encoder.item([token.text for token in doc]))
        return self._model(words, shapes, np.zeros(words.shape, dtype=bool))[0][:, self._tags]

    def __call__(self, doc: Doc) -> Doc:
        """Set ``doc.ents`` by the best legal label sequence of the CRF."""
        labels = [self._labels[index] for index in self._chain.best_path(self._emissions(doc))]
        doc.set_ents([SpacySpan(doc, span.start, span.end, label=span.label) for span in decode(labels)])
        return doc

    def pipe(self, stream: Iterable[Doc], *, batch_size: int = 128) -> Iterator[Doc]:
        """Process Docs one by one."""
        yield from map(self, stream)

    def to_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> None:
        """Copy the weights into the folder ``path``."""
        folder = Path(path)
        folder.mkdir(parents=True, exist_ok=True)
        for name, file in self._files.items():
            if file.resolve() != (folder / name).resolve():
                shutil.copyfile(file, folder / name)

    def from_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> "SlovnetNer":
        """Read the weights that :meth:`to_disk` wrote."""
        return self.read(Path(path) / MODEL, Path(path) / VECTORS)


@Language.factory(NAME, assigns=["doc.ents", "token.ent_iob", "token.ent_type"])
def make_slovnet_ner(nlp: Language, name: str) -> SlovnetNer:
    """The factory that spaCy calls."""
    return SlovnetNer(name)
