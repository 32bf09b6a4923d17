"""A method's settings in a plan: read back strictly, every wrong key named with its place."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from synthetic_datasets import small_configuration, small_plan

from synthct.errors import ModelError, PlanError, TrainingError
from synthct.imaging.coding import GreyLevels, MrWindow
from synthct.json_dataclasses import to_plain
from synthct.planning.configurations import reference_configuration
from synthct.planning.method_settings import check_settings, coding_of, settings_of
from synthct.planning.plan import Configuration, Plan
from synthct.plugins import TRAINERS

PLACE = "plans.json: configurations.small"


def changed(trainer: str, dotted: str, value: object) -> Configuration:
    """The small configuration with another value, or with ``...`` none, at a path of a method's settings."""
    configuration = small_configuration()
    settings = table = configuration.methods[trainer]
    *above, last = dotted.split(".")
    for name in above:
        table = table[int(name) if isinstance(table, list) else name]
    if value is ...:
        del table[last]
    else:
        table[int(last) if isinstance(table, list) else last] = value
    return replace(configuration, methods=configuration.methods | {trainer: settings})


def plan_of(configuration: Configuration) -> Plan:
    return replace(small_plan(), configurations={"small": configuration})


WRONG: list[tuple[str, str, Any]] = [
    ("cyclegan", "learning_rate", 0),
    ("cyclegan", "learning_rate", 2),
    ("cyclegan", "learning_rate", "fast"),
    ("cyclegan", "learning_rat", 1e-4),
    ("cyclegan", "adam_betas", [0.5, 1.0]),
    ("cyclegan", "adam_betas", [0.5]),
    ("cyclegan", "base_channels", 0),
    ("cyclegan", "n_blocks", -1),
    ("cyclegan", "lambda_cycle", -10),
    ("cyclegan", "lambda_identity", None),
    ("cyclegan", "pool_size", -1),
    ("cyclegan", "pool_size", ...),
    ("cyclegan", "lambda_l1", 100.0),  # pix2pix's
    ("cyclegan", "coding", ...),
    ("cyclegan", "coding.ct_window_hu", [1400, -600]),
    ("cyclegan", "coding.ct_window_hu", [-40000, 1400]),
    ("cyclegan", "coding.grey_levels", 257),
    ("cyclegan", "coding.grey_levels", 1),
    ("cyclegan", "coding.grey_levels", ...),
    ("cyclegan", "coding.mr_windows", []),
    ("cyclegan", "coding.mr_windows.0.kind", "fixd"),
    ("cyclegan", "coding.mr_windows.0.high", -1),
    ("cyclegan", "coding.mr_windows.0.high", 101),
    ("cyclegan", "coding.mr_windows.0.high", ...),
    ("cyclegan", "discriminator_layers", 4),
    ("cyclegan", "discriminator_learning_rate", 0),
    ("cyclegan", "early_share", 1.5),
    ("cyclegan", "position_matched", 1),
    ("pix2pix", "lambda_l1", -1),
    ("pix2pix", "lambda_l1", ...),
    ("pix2pix", "lambda_cycle", 10.0),
]


@pytest.mark.parametrize(("trainer", "path", "value"), WRONG)
def test_an_unknown_missing_or_wrong_setting_is_named_with_file_configuration_and_trainer(trainer, path, value):
    configuration = changed(trainer, path, value)
    for read in (
        lambda: settings_of(trainer, configuration, PLACE),
        lambda: check_settings(plan_of(configuration), "plans.json"),
    ):
        with pytest.raises(PlanError) as fault:
            read()
        message = str(fault.value)
        assert message.startswith(f"{PLACE}: ") and f"methods.{trainer}" in message and "\n" not in message
        name = next(part for part in reversed(path.split(".")) if not part.isdigit())
        # A window that cannot be is known by its values.
        assert name in message or "mr_windows[0]" in message


def test_a_setting_added_later_is_written_only_where_it_is_not_the_default():
    before = to_plain(settings_of("cyclegan", small_configuration(), PLACE))
    assert "position_matched" not in before
    configuration = changed("cyclegan", "position_matched", True)
    settings = settings_of("cyclegan", configuration, PLACE)
    assert settings.position_matched
    assert to_plain(settings) == before | {"position_matched": True}


def test_the_other_method_is_not_affected():
    configuration = changed("cyclegan", "pool_size", -1)
    assert settings_of("pix2pix", configuration, PLACE) == settings_of("pix2pix", small_configuration(), PLACE)


def test_an_error_is_of_the_class_that_is_asked_for():
    with pytest.raises(ModelError, match="pool_size"):
        settings_of("cyclegan", changed("cyclegan", "pool_size", -1), PLACE, ModelError)


def test_settings_come_back_as_they_were_planned():
    for trainer in ("cyclegan", "pix2pix"):
        settings = settings_of(trainer, small_configuration(), PLACE)
        assert isinstance(settings, TRAINERS.load(trainer).Settings)
        assert (settings.base_channels, settings.n_blocks) == (2, 1)
        assert settings.coding == GreyLevels(mr_windows=(MrWindow("percentile", 0, 100),))


def test_a_method_of_which_the_plan_says_nothing_takes_the_values_of_its_paper():
    settings = settings_of("cyclegan", reference_configuration(2), PLACE)
    assert (settings.base_channels, settings.n_blocks, settings.lambda_cycle) == (64, 9, 10)
    assert settings.coding.mr_windows == (MrWindow("fixed", 0.0, 3500.0),) * 2


def test_a_trainer_that_is_not_installed_is_an_error_only_where_it_is_asked_for():
    configuration = small_configuration()
    configuration = replace(configuration, methods=configuration.methods | {"diffusion": {"steps": 50}})
    check_settings(plan_of(configuration), "plans.json")
    with pytest.raises(TrainingError, match="diffusion"):
        settings_of("diffusion", configuration, PLACE)


def test_windows_and_channels_must_agree():
    configuration = small_configuration(2)
    one_channel = replace(configuration, input=replace(configuration.input, mr_channels=1))
    with pytest.raises(PlanError, match=r"methods.cyclegan: .*2 windows for 1 MR"):
        settings_of("cyclegan", one_channel, PLACE)


def test_pictures_are_of_the_first_method_that_is_stated():
    wide = GreyLevels(ct_window_hu=(-1000.0, 2000.0), mr_windows=(MrWindow("fixed", 0.0, 100.0),))
    assert coding_of(small_configuration(coding=wide), PLACE) == wide
    assert coding_of(reference_configuration(2), PLACE).mr_windows == (MrWindow("percentile", 0.5, 99.5),) * 2
    with pytest.raises(PlanError, match="grey_levels"):
        coding_of(changed("cyclegan", "coding.grey_levels", 1), PLACE)
