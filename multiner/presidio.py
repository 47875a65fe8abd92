"""A recogniser for Presidio's analyzer, which finds personal data: persons, places and organisations by our models.

It needs the package presidio-analyzer, which is not among our requirements.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from presidio_analyzer import AnalysisExplanation, EntityRecognizer, RecognizerResult

from multiner.loading import finder

if TYPE_CHECKING:
    from presidio_analyzer.nlp_engine import NlpArtifacts

ENTITIES: Mapping[str, str] = {"PER": "PERSON", "LOC": "LOCATION", "ORG": "ORGANIZATION"}
"""Presidio's names of our types; the others are no personal data."""
WITHOUT_SCORE = 0.85  # as Presidio scores the entities of models that give no scores


class MultinerRecognizer(EntityRecognizer):
    """Finds entities by a model in this process, or by a gateway.

    Args:
        model: a name of the registry such as ``ner-en``, the folder of an MLflow model, or the address of a gateway,
            with ``http://`` or ``https://``.
        supported_language: language code that Presidio asks for; a gateway is asked in this language.
        model_version: of a registered model; None: the champion.
        entities: Presidio's name of each type that is to be found.
        name: of the recogniser in Presidio's results.

    Raises:
        NerError: there is no such model, or its files are missing or damaged.
    """

    name: str

    def __init__(
        self,
        model: str,
        supported_language: str = "en",
        *,
        model_version: str | int | None = None,
        entities: Mapping[str, str] = ENTITIES,
        name: str = "MultinerRecognizer",
    ) -> None:
        self.model = model
        self.model_version = model_version
        self.entities = dict(entities)
        super().__init__(list(dict.fromkeys(entities.values())), name, supported_language)

    def load(self) -> None:
        """Load the model; Presidio calls it once."""
        self._find = finder(self.model, self.model_version, self.supported_language)

    def analyze(
        self, text: str, entities: Sequence[str], nlp_artifacts: NlpArtifacts | None = None
    ) -> list[RecognizerResult]:
        """The entities of a text.

        Args:
            text: the text; offsets count its code points.
            entities: Presidio's names of those that are wanted; all where there are none.
            nlp_artifacts: what Presidio's own pipeline found; not used.
        """
        (result,) = self._find([text])
        model = result.model
        source = {
            RecognizerResult.RECOGNIZER_NAME_KEY: self.name,
            RecognizerResult.RECOGNIZER_IDENTIFIER_KEY: self.id,
            "model": f"{model.name}/{model.version}" if model.version else model.name,
        }
        results = []
        for entity in result.entities:
            kind = self.entities.get(entity.label)
            if kind is None or (entities and kind not in entities):
                continue
            score = WITHOUT_SCORE if entity.score is None else entity.score
            explanation = AnalysisExplanation(
                self.name, score, textual_explanation=f"{entity.label} by {source['model']}"
            )
            results.append(RecognizerResult(kind, entity.start, entity.end, score, explanation, source))
        return results
