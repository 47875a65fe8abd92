"""Behaviour of the models as a suite of small tests (CheckList, Ribeiro et al. 2020), a YAML file for each language."""

from multiner.pipeline.evaluation.behaviour.cases import Case, load_cases
from multiner.pipeline.evaluation.behaviour.suite import Outcome, Report, run_suite

__all__ = ["Case", "Outcome", "Report", "load_cases", "run_suite"]
