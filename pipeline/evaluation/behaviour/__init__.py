"""The behaviour suite: small tests of a model (CheckList, Ribeiro et al. 2020), in one YAML file per language."""

from multiner.pipeline.evaluation.behaviour.cases import BehaviourCase, load_cases
from multiner.pipeline.evaluation.behaviour.suite import BehaviourReport, CaseOutcome, run_suite

__all__ = ["BehaviourCase", "BehaviourReport", "CaseOutcome", "load_cases", "run_suite"]
