"""Label Studio's labelling interfaces: which tags and labels are for the model's entities."""

from __future__ import annotations

import pytest

from multiner.serving.gateway.label_config import UnfitInterface, read_label_config

TYPES = ["PER", "LOC", "ORG"]
TEXT = '<Text name="text" value="$text"/>'


def config_of(labels: str, text: str = TEXT, to: str = "text") -> str:
    tag = f'<Labels name="ner" toName="{to}">{labels}</Labels>'
    return f'<View><Header value="Mark names"/><View>{tag}</View>{text}</View>'


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ('<Label value="PER"/><Label value="ORG" background="red"/>', {"PER": "PER", "ORG": "ORG"}),
        ('<Label value="Per"/><Label value="Date"/>', {"PER": "Per"}),
        ('<Label value="Person" predicted_values="PERSON, PER"/>', {"PER": "Person"}),
        (
            '<Label value="Place or person" predicted_values="PER,LOC"/>',
            dict.fromkeys(("PER", "LOC"), "Place or person"),
        ),
        ('<Label value="Organisation" alias="ORG"/>', {"ORG": "ORG"}),
        ('<Label value="LOC" alias="place"/>', {"LOC": "place"}),
        ('<Label value="First" predicted_values="PER"/><Label value="PER"/>', {"PER": "First"}),
    ],
)
def test_labels_are_those_of_the_types_that_they_are_called_by(labels: str, expected: dict[str, str]) -> None:
    config = read_label_config(config_of(labels), TYPES)
    assert config is not None
    assert config.labels == expected
    assert (config.from_name, config.to_name, config.field) == ("ner", "text", "text")


def test_where_the_types_are_not_known_any_label_is_one() -> None:
    config = read_label_config(config_of('<Label value="Disease"/>'), None)
    assert config is not None
    assert config.labels == {"Disease": "Disease"}


def test_the_first_pair_of_tags_counts_and_a_field_may_be_nested() -> None:
    other = '<Labels name="image" toName="picture"><Label value="PER"/></Labels><Image name="picture" value="$url"/>'
    text = '<Text name="note" value="$fields.body"/>'
    own = config_of('<Label value="PER"/>', text, "picture,note")
    config = read_label_config(f"<View>{other}{own}</View>", TYPES)
    assert config is not None
    assert (config.from_name, config.to_name) == ("ner", "note")
    assert config.text({"fields": {"body": "Anna"}}) == "Anna"
    assert config.text({"fields.body": "Anna"}) == "Anna"
    assert config.text({"fields": "Anna"}) is None
    assert config.text({"fields": {"body": 1}}) is None


@pytest.mark.parametrize("config", ["", "  ", "<View></View>", "<View/>"])
def test_a_new_project_has_an_empty_interface(config: str) -> None:
    assert read_label_config(config, TYPES) is None


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("<View>", "not valid XML"),
        ('<!DOCTYPE v [<!ENTITY a "aaaa">]><View>&a;</View>', "DOCTYPE"),
        ("<View>" + " " * 100_000 + "</View>", "more than 100,000 characters"),
        (f"<View>{TEXT}</View>", "tag Labels"),
        (config_of('<Label value="PER"/>', to="other"), "tag Labels"),
        (config_of('<Label value="PER"/>', '<Text name="text" value="fixed"/>'), "field of the task"),
        (config_of('<Label value="PER"/>', '<Text name="text" value="$text" valueType="url"/>'), "field of the task"),
        (config_of('<Label value="Disease"/>'), "None of its labels is a type of the model: PER, LOC, ORG"),
    ],
)
def test_an_interface_without_a_place_for_entities_is_refused(config: str, message: str) -> None:
    with pytest.raises(UnfitInterface, match=message):
        read_label_config(config, TYPES)
