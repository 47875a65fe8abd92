"""Turns errors of models into problems, which callers of the API get."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

from multiner.serving.answers import ModelFailed, NoTokens
from multiner.serving.backends.backend import BackendGone, BackendTimeout
from multiner.serving.http.problems import Problem, busy, no_tokens, unavailable
from multiner.serving.routing.model_router import NoModel
from multiner.serving.routing.queue import CallsFull

log = logging.getLogger("serving")


@contextlib.contextmanager
def as_problems(language: str) -> Iterator[None]:
    """Turn errors of the model of a language into problems."""
    try:
        yield
    except NoModel as error:
        wait = 30 if error.state in ("absent", "failed") else 5
        why = "; memory is short, and all other models are in use" if error.state == "unloaded" else ""
        raise unavailable(f"No model for {language!r} is live ({error.state}{why}).", wait) from None
    except CallsFull as error:
        raise busy(f"{str(error).capitalize()} for the model for {language!r}; no more may.") from None
    except NoTokens as error:
        raise no_tokens(f"{str(error).capitalize()}. Leave out tokens, or have the model trained anew.") from None
    except BackendGone as error:
        log.warning("backend gone", extra={"fields": {"language": language, "error": str(error)}})
        raise unavailable(f"The model for {language!r} is being restarted.") from None
    except BackendTimeout as error:
        raise Problem(504, "timeout", "The model took too long", f"{error}. Send less text at once.") from None
    except TimeoutError:
        detail = "No answer in the time allowed, waiting for the model included. Send less text at once, or later."
        raise Problem(504, "timeout", "The model took too long", detail) from None
    except ModelFailed as error:
        log.error("model failed", extra={"fields": {"language": language, "error": str(error)}})
        raise Problem(502, "model-failed", "The model failed", "The model could not answer this request.") from None
