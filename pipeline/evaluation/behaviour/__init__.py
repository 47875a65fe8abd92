"""Behaviour of the models as a suite of small tests (CheckList, Ribeiro et al. 2020), a YAML file for each language."""

from multiner.pipeline.evaluation.behaviour.cases import BehaviourCase, load_cases
from multiner.pipeline.evaluation.behaviour.suite import BehaviourReport, CaseOutcome, run_suite

__all__ = ["BehaviourCase", "BehaviourReport", "CaseOutcome", "load_cases", "run_suite"]
