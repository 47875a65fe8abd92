"""A component of spaCy pipelines that finds entities: ``nlp.add_pipe("multiner", config={"model": "ner-en"})``.

The import of this module registers the component, also for ``spacy.load`` of a pipeline that has it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from spacy.language import Language
from spacy.tokens import Doc
from spacy.util import minibatch

from multiner.loading import finder
from multiner.pipeline.text.languages import AUTO
from multiner.serving.client.conversions import set_entities
from multiner.serving.client.results import Result

FACTORY = "multiner"
BATCH = 64  # Docs at a time, as many texts as a request holds by default


class EntityComponent:
    """Sets ``doc.ents`` and, with scores, ``doc.spans["entities"]``, as :meth:`multiner.Result.to_doc` does.

    An entity that ends within a token is extended to the whole token.

    Args:
        find: gives the results of texts, in order.
    """

    def __init__(self, find: Callable[[list[str]], list[Result]]) -> None:
        self._find = find

    def __call__(self, doc: Doc) -> Doc:
        """The same Doc with its entities."""
        (result,) = self._find([doc.text])
        return set_entities(doc, result)

    def pipe(self, stream: Iterable[Doc], *, batch_size: int = BATCH) -> Iterator[Doc]:
        """The same Docs with their entities, in order; a batch of texts is predicted at once."""
        for docs in minibatch(stream, size=batch_size):  # type: ignore[no-untyped-call]
            yield from map(set_entities, docs, self._find([doc.text for doc in docs]))


@Language.factory(FACTORY, assigns=["doc.ents", "doc.spans"], default_config={"version": None, "language": AUTO})
def make_component(nlp: Language, name: str, model: str, version: str | None, language: str) -> EntityComponent:
    """The component of a pipeline.

    Args:
        nlp, name: the pipeline, and the component's name in it.
        model, version, language: see :func:`multiner.loading.finder`.

    Raises:
        NerError: there is no such model, or its files are missing.
    """
    return EntityComponent(finder(model, version, language))
