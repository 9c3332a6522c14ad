"""The policies file: what it means for each item, and what it says where it is wrong."""

from __future__ import annotations

import json

import numpy as np
import pytest

from consumer.outlook.policies import Policies, PoliciesError, Policy
from schemas.transaction import MILLION

FILE = b"""{
  "default": {"lead_time_days": 2},
  "stores": {"296": {"service_level": 0.9, "lead_time_days": 5}, "12": {"review_period_days": 7}},
  "items": {"296:MILK": {"pack_size": 12}, "7:EGGS": {"pack_size": 0.25, "lead_time_days": 1}}
}"""


def policy_of(policies: Policies, store_id: str, sku: str) -> Policy:
    found = policies.columns.of(policies.rows_of([(store_id, sku)]))
    lead_time, review_period, service_level, pack = (column.tolist() for column in found)
    return Policy(lead_time[0], review_period[0], service_level[0], pack[0])


@pytest.mark.parametrize(
    ("store_id", "sku", "expected"),
    [
        ("296", "MILK", Policy(5, 1, 0.9, 12 * MILLION)),
        ("296", "EGGS", Policy(5, 1, 0.9, MILLION)),
        ("7", "EGGS", Policy(1, 1, 0.95, MILLION // 4)),
        ("7", "MILK", Policy(2, 1, 0.95, MILLION)),
        ("12", "MILK", Policy(2, 7, 0.95, MILLION)),
    ],
)
def test_an_item_wins_over_its_store_and_that_over_the_default(store_id: str, sku: str, expected: Policy) -> None:
    assert policy_of(Policies(FILE), store_id, sku) == expected


def test_without_a_file_all_items_have_the_built_in_policy() -> None:
    assert policy_of(Policies(), "1", "A") == Policy(3, 1, 0.95, MILLION)
    assert Policies(b"\xef\xbb\xbf{}").digest == Policies().digest


def test_many_items_are_looked_up_at_once() -> None:
    policies = Policies(FILE)
    rows = policies.rows_of([("296", "MILK"), ("1", "A"), ("12", "B"), ("1", "C")])
    assert policies.columns.of(rows).lead_time_days.tolist() == [5, 2, 2, 2]
    assert policies.columns.of(rows[[2, 0]]).review_period_days.tolist() == [7, 1]
    assert policies.rows_of([]).dtype == np.int64


def test_ids_may_have_colons_of_their_own() -> None:
    policies = Policies(b'{"stores": {"a:b": {"lead_time_days": 9}}, "items": {"a:b:c": {"pack_size": 2}}}')
    assert policy_of(policies, "a", "b:c") == Policy(3, 1, 0.95, 2 * MILLION)
    assert policy_of(policies, "a:b", "c") == Policy(9, 1, 0.95, 2 * MILLION)


def test_the_digest_is_of_what_the_file_means() -> None:
    content = json.loads(FILE)
    turned = {name: dict(reversed(part.items())) for name, part in reversed(content.items())}
    turned["default"]["service_level"] = 0.95
    assert Policies(json.dumps(turned, indent=8).encode()).digest == Policies(FILE).digest
    digests = {Policies(FILE).digest, Policies().digest}
    for change in (
        {"default": {"lead_time_days": 3}},
        {"stores": {"296": {"service_level": 0.91, "lead_time_days": 5}}},
        {"items": {"296:MILK": {"pack_size": 12.000001}}},
    ):
        digests.add(Policies(json.dumps(content | change).encode()).digest)
    assert len(digests) == 5


@pytest.mark.parametrize(
    ("content", "where", "expected", "came"),
    [
        ("[]", "the file", "an object", "[]"),
        ("{", "the file", "JSON in UTF-8", "1 bytes"),
        ("", "the file", "JSON in UTF-8", "0 bytes"),
        ("[" * 100_000, "the file", "JSON in UTF-8", "100000 bytes"),
        ('{"itmes": {}}', "the file", "no other keys than default, stores, items", '"itmes"'),
        ('{"stores": []}', "stores", "an object", "[]"),
        ('{"default": null}', "default", "an object", "null"),
        ('{"default": {"lead_time": 3}}', "default", "no other keys than lead_time_days", '"lead_time"'),
        ('{"default": {"lead_time_days": 0}}', "default.lead_time_days", "whole days from 1 to 27", "0"),
        ('{"default": {"lead_time_days": 28}}', "default.lead_time_days", "whole days from 1 to 27", "28"),
        ('{"default": {"lead_time_days": 2.5}}', "default.lead_time_days", "whole days from 1 to 27", "2.5"),
        ('{"default": {"review_period_days": true}}', "default.review_period_days", "whole days from 1", "true"),
        ('{"default": {"review_period_days": "1"}}', "default.review_period_days", "whole days from 1", '"1"'),
        ('{"default": {"lead_time_days": null}}', "default.lead_time_days", "whole days from 1", "null"),
        ('{"default": {"service_level": 0.9995}}', "default.service_level", "a number from 0.5 to 0.999", "0.9995"),
        ('{"default": {"service_level": 95}}', "default.service_level", "a number from 0.5 to 0.999", "95"),
        ('{"default": {"service_level": true}}', "default.service_level", "a number from 0.5 to 0.999", "true"),
        ('{"default": {"pack_size": 0}}', "default.pack_size", "a number above 0", "0"),
        ('{"default": {"pack_size": -6}}', "default.pack_size", "a number above 0", "-6"),
        ('{"default": {"pack_size": 1e-7}}', "default.pack_size", "at most 6 decimals", "1e-7"),
        ('{"default": {"pack_size": 0.1234567}}', "default.pack_size", "at most 6 decimals", "0.1234567"),
        ('{"default": {"pack_size": 1000001}}', "default.pack_size", "at most 1000000", "1000001"),
        ('{"stores": {"7": {"pack_size": "6"}}}', 'stores["7"].pack_size', "a number above 0", '"6"'),
        ('{"stores": {" 7": {}}}', 'stores[" 7"]', "a store_id", '" 7"'),
        ('{"items": {"MILK": {}}}', 'items["MILK"]', "store_id:sku", '"MILK"'),
        ('{"items": {"7:": {}}}', 'items["7:"]', "store_id:sku", '"7:"'),
        ('{"items": {"7:A": {"lead_time_days": 0}}}', 'items["7:A"].lead_time_days', "whole days", "0"),
        (
            '{"stores": {"7": {"lead_time_days": 27}}, "items": {"7:A": {"review_period_days": 2}}}',
            'items["7:A"]',
            "lead_time_days and review_period_days of at most 28 together",
            "27 and 2",
        ),
    ],
)
def test_a_wrong_file_is_refused_in_one_sentence(content: str, where: str, expected: str, came: str) -> None:
    """Where, what was expected, what came, what to do."""
    with pytest.raises(PoliciesError) as raised:
        Policies(content.encode())
    message = str(raised.value)
    place, said, rest = message.removeprefix("policies: ").partition(": expected ")
    assert (place, said) == (where, ": expected ")
    assert expected in rest.partition(", got ")[0]
    assert rest.partition(", got ")[2].startswith(came)
    assert message.endswith("; correct the file and start again")
    assert len(message) < 300


@pytest.mark.parametrize("size", [0.000001, 0.1, 0.123456, 1, 12, 999_999.999999, 1_000_000])
def test_a_pack_is_what_was_written(size: float) -> None:
    policy = policy_of(Policies(b'{"default": {"pack_size": %s}}' % json.dumps(size).encode()), "1", "A")
    assert policy.pack_millionths == int(f"{size:.6f}".replace(".", ""))
