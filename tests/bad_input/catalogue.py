"""The catalogue of bad inputs: each row is a name, what is spoilt, the command line, the file and the remedy."""

from __future__ import annotations

from bad_datasets import DATASETS
from bad_evaluations import EVALUATIONS
from bad_examples import EXAMPLES
from bad_imports import IMPORTS
from bad_models import MODELS
from bad_plans import PLANS
from bad_predictions import PREDICTIONS
from bad_trainings import TRAININGS

CATALOGUE = [*DATASETS, *PLANS, *TRAININGS, *PREDICTIONS, *EVALUATIONS, *MODELS, *IMPORTS, *EXAMPLES]
assert len({bad.name for bad in CATALOGUE}) == len(CATALOGUE)
