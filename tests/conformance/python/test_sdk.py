"""Tests the simulator with the official Python SDK: every operation and every field of its typed answers."""

import os
from datetime import UTC, datetime
from uuid import UUID

import cloudflare
import pytest
from cloudflare import Cloudflare

BASE_URL = os.environ["SIMULATOR_BASE_URL"]
ACCOUNT = "a" * 32
NOT_ENTITLED = "c" * 32
ADA = "182bd5e5-6e1a-4fe4-a799-aa6d9a6ab26e"
BJORN = "0b2f4cbe-34c0-4e1f-9a2c-1a0c2f7d6f11"
NO_EVENTS = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
UNKNOWN = "00000000-0000-4000-8000-000000000000"
INTEGRATION = "4cfe8442-664b-4915-acd4-b39cd65c4314"
REFERENCE = "3701e70b-5de4-4d9d-8972-f5aa994d9057"


def client(**credentials):
    # No retries, because they would hide the first answer.
    return Cloudflare(base_url=BASE_URL, max_retries=0, **credentials)


@pytest.fixture
def risk():
    return client(api_token="everything").zero_trust.risk_scoring


def utc(*date):
    return datetime(*date, tzinfo=UTC)


def fields(model):
    """The fields of an answer, which must have no field that the SDK does not know."""
    assert not model.model_extra, model.model_extra
    return model.model_dump()


def well_known(integration):
    return f"https://ssf.risk-score.teams.cloudflare.com/.well-known/sse-configuration/{integration}"


def test_the_summary_lists_users_at_risk(risk):
    users = [fields(user) for user in risk.summary.get(account_id=ACCOUNT).users]
    assert users[0] == {
        "user_id": ADA,
        "name": 'Ada "Countess" Lovelace',
        "email": "ada@example.com",
        "max_risk_level": "high",
        "event_count": 2,
        "last_event": utc(2026, 3, 5),
    }
    assert NO_EVENTS not in [user["user_id"] for user in users]


def test_a_user_has_events_newest_first(risk):
    user = risk.get(ADA, account_id=ACCOUNT)
    assert (user.name, user.email, user.risk_level) == ('Ada "Countess" Lovelace', "ada@example.com", "high")
    assert user.last_reset_time == utc(2026, 1, 2)
    assert not user.model_extra
    seen = [(event.id, event.name, event.risk_level, event.timestamp) for event in user.events]
    assert seen == [
        ("event-2", "High Number of DLP Policies Triggered", "low", utc(2026, 3, 5)),
        ("event-1", "Impossible Travel", "high", utc(2026, 3, 4, 5, 6, 7, 89_000)),
    ]
    assert all(
        set(event.model_fields_set) <= {"id", "name", "risk_level", "timestamp", "event_details"}
        for event in user.events
    )


def test_a_user_without_events_has_no_level(risk):
    user = risk.get(NO_EVENTS, account_id=ACCOUNT)
    assert fields(user) == {
        "name": "Nobody's Concern",
        "email": "quiet@example.com",
        "events": [],
        "last_reset_time": None,
        "risk_level": None,
    }


def test_a_reset_user_leaves_the_list(risk):
    assert risk.reset(BJORN, account_id=ACCOUNT) == {}
    assert BJORN not in [user.user_id for user in risk.summary.get(account_id=ACCOUNT).users]
    user = risk.get(BJORN, account_id=ACCOUNT)
    assert (user.events, user.risk_level) == ([], None)
    assert abs((user.last_reset_time - datetime.now(UTC)).total_seconds()) < 60


def test_behaviors_are_read_and_changed_one_by_one(risk):
    before = risk.behaviours.get(account_id=ACCOUNT).behaviors
    assert fields(before["imp_travel"]) == {
        "name": "Impossible Travel",
        "description": "Two places at a time.",
        "enabled": True,
        "risk_level": "high",
    }
    change = {"high_dlp": {"enabled": True, "risk_level": "low"}}
    answer = risk.behaviours.update(account_id=ACCOUNT, behaviors=change).behaviors
    assert sorted(answer) == ["high_dlp", "imp_travel"]
    assert (answer["high_dlp"].enabled, answer["high_dlp"].risk_level) == (True, "low")
    after = risk.behaviours.get(account_id=ACCOUNT).behaviors
    assert (after["high_dlp"].enabled, after["high_dlp"].risk_level) == (True, "low")
    assert after["high_dlp"].name == before["high_dlp"].name
    assert after["imp_travel"] == before["imp_travel"]
    undo = {"high_dlp": {"enabled": False, "risk_level": "medium"}}
    risk.behaviours.update(account_id=ACCOUNT, behaviors=undo)
    assert risk.behaviours.get(account_id=ACCOUNT).behaviors == before


def test_an_integration_is_found_in_three_ways(risk):
    wanted = {
        "id": INTEGRATION,
        "account_tag": ACCOUNT,
        "integration_type": "Okta",
        "reference_id": REFERENCE,
        "tenant_url": "https://example.oktapreview.com",
        "well_known_url": well_known(INTEGRATION),
        "active": True,
        "created_at": utc(2025, 3, 19, 19, 53, 56),
    }
    integrations = risk.integrations
    assert [fields(one) for one in integrations.list(account_id=ACCOUNT)] == [wanted]
    assert fields(integrations.get(INTEGRATION, account_id=ACCOUNT)) == wanted
    assert fields(integrations.references.get(REFERENCE, account_id=ACCOUNT)) == wanted


def test_an_integration_lives_from_creation_to_deletion(risk):
    integrations = risk.integrations
    created = integrations.create(
        account_id=ACCOUNT, integration_type="Okta", tenant_url="https://new.okta.com", reference_id="a/b c"
    )
    assert fields(created) == {
        "id": str(UUID(created.id, version=4)),
        "account_tag": ACCOUNT,
        "integration_type": "Okta",
        "reference_id": "a/b c",
        "tenant_url": "https://new.okta.com",
        "well_known_url": well_known(created.id),
        "active": True,
        "created_at": created.created_at,
    }
    assert abs((created.created_at - datetime.now(UTC)).total_seconds()) < 60
    assert integrations.references.get("a/b c", account_id=ACCOUNT).id == created.id

    changed = integrations.update(
        created.id, account_id=ACCOUNT, tenant_url="https://other.okta.com", active=False, reference_id="c"
    )
    wanted = fields(created) | {"tenant_url": "https://other.okta.com", "active": False, "reference_id": "c"}
    assert fields(changed) == wanted
    assert fields(integrations.get(created.id, account_id=ACCOUNT)) == wanted

    assert integrations.delete(created.id, account_id=ACCOUNT) == {}
    with pytest.raises(cloudflare.NotFoundError):
        integrations.get(created.id, account_id=ACCOUNT)


def test_a_missing_reference_is_generated(risk):
    created = risk.integrations.create(account_id=ACCOUNT, integration_type="Okta", tenant_url="https://x.okta.com")
    assert UUID(created.reference_id).version == 4
    risk.integrations.delete(created.id, account_id=ACCOUNT)


def test_a_key_may_do_what_a_token_may():
    risk = client(api_email="admin@example.com", api_key="global-key").zero_trust.risk_scoring
    assert risk.summary.get(account_id=ACCOUNT).users


def test_a_token_has_an_expiry_date():
    verified = client(api_token="everything").user.tokens.verify()
    assert (verified.status, verified.expires_on) == ("active", utc(2999, 1, 1))
    assert len(verified.id) == 32


def calls(account):
    """All operations, to check that each refuses a request in the same way."""
    behaviors = {"imp_travel": {"enabled": True, "risk_level": "high"}}
    return {
        "behaviors": lambda risk: risk.behaviours.get(account_id=account),
        "change behaviors": lambda risk: risk.behaviours.update(account_id=account, behaviors=behaviors),
        "summary": lambda risk: risk.summary.get(account_id=account),
        "user": lambda risk: risk.get(ADA, account_id=account),
        "reset": lambda risk: risk.reset(ADA, account_id=account),
        "integrations": lambda risk: risk.integrations.list(account_id=account),
        "create": lambda risk: risk.integrations.create(
            account_id=account, integration_type="Okta", tenant_url="https://x.okta.com"
        ),
        "integration": lambda risk: risk.integrations.get(INTEGRATION, account_id=account),
        "change": lambda risk: risk.integrations.update(
            INTEGRATION, account_id=account, tenant_url="https://x.okta.com", active=True
        ),
        "delete": lambda risk: risk.integrations.delete(INTEGRATION, account_id=account),
        "reference": lambda risk: risk.integrations.references.get(REFERENCE, account_id=account),
    }


REFUSALS = [
    ("an unknown token", ACCOUNT, "wrong", cloudflare.AuthenticationError, 10000),
    ("an expired token", ACCOUNT, "expired", cloudflare.AuthenticationError, 10000),
    ("a malformed token", ACCOUNT, "two words", cloudflare.BadRequestError, 6003),
    ("another account", ACCOUNT, "elsewhere", cloudflare.PermissionDeniedError, 9109),
    ("no such account", "9" * 32, "everything", cloudflare.PermissionDeniedError, 9109),
    ("no account id", "acme", "everything", cloudflare.NotFoundError, 7003),
    ("no entitlement", NOT_ENTITLED, "everything", cloudflare.PermissionDeniedError, 3314),
]


@pytest.mark.parametrize(
    ("account", "token", "error", "code"), [row[1:] for row in REFUSALS], ids=[row[0] for row in REFUSALS]
)
@pytest.mark.parametrize("operation", sorted(calls(ACCOUNT)))
def test_every_operation_is_refused_with_its_code(operation, account, token, error, code):
    risk = client(api_token=token).zero_trust.risk_scoring
    with pytest.raises(error) as refusal:
        calls(account)[operation](risk)
    assert refusal.value.errors[0].code == code


def test_a_permission_allows_only_its_operations():
    risk = client(api_token="settings-only").zero_trust.risk_scoring
    allowed = {"behaviors", "integrations", "integration", "reference"}
    for operation, call in calls(ACCOUNT).items():
        if operation in allowed:
            call(risk)
            continue
        with pytest.raises(cloudflare.PermissionDeniedError) as refusal:
            call(risk)
        assert refusal.value.errors[0].code == 10000, operation


BAD_REQUESTS = [
    ("an unknown user", lambda risk: risk.get(UNKNOWN, account_id=ACCOUNT), cloudflare.NotFoundError),
    ("no user id", lambda risk: risk.get("ada", account_id=ACCOUNT), cloudflare.BadRequestError),
    ("a reset of an unknown user", lambda risk: risk.reset(UNKNOWN, account_id=ACCOUNT), cloudflare.NotFoundError),
    (
        "an unknown integration",
        lambda risk: risk.integrations.get(UNKNOWN, account_id=ACCOUNT),
        cloudflare.NotFoundError,
    ),
    (
        "a change of an unknown integration",
        lambda risk: risk.integrations.update(
            UNKNOWN, account_id=ACCOUNT, tenant_url="https://x.okta.com", active=True
        ),
        cloudflare.NotFoundError,
    ),
    (
        "a deletion of an unknown integration",
        lambda risk: risk.integrations.delete(UNKNOWN, account_id=ACCOUNT),
        cloudflare.NotFoundError,
    ),
    (
        "an unknown reference",
        lambda risk: risk.integrations.references.get("none", account_id=ACCOUNT),
        cloudflare.NotFoundError,
    ),
    (
        "an existing reference",
        lambda risk: risk.integrations.create(
            account_id=ACCOUNT, integration_type="Okta", tenant_url="https://x.okta.com", reference_id=REFERENCE
        ),
        cloudflare.ConflictError,
    ),
    (
        "no URL",
        lambda risk: risk.integrations.create(account_id=ACCOUNT, integration_type="Okta", tenant_url="okta"),
        cloudflare.BadRequestError,
    ),
    (
        "another type",
        lambda risk: risk.integrations.create(
            account_id=ACCOUNT, integration_type="Ping", tenant_url="https://x.okta.com"
        ),
        cloudflare.BadRequestError,
    ),
    (
        "an unknown level",
        lambda risk: risk.behaviours.update(
            account_id=ACCOUNT, behaviors={"imp_travel": {"enabled": True, "risk_level": "critical"}}
        ),
        cloudflare.BadRequestError,
    ),
    (
        "an unknown behavior",
        lambda risk: risk.behaviours.update(
            account_id=ACCOUNT, behaviors={"nap": {"enabled": True, "risk_level": "low"}}
        ),
        cloudflare.BadRequestError,
    ),
]


@pytest.mark.parametrize(("call", "error"), [row[1:] for row in BAD_REQUESTS], ids=[row[0] for row in BAD_REQUESTS])
def test_a_bad_request_changes_nothing(risk, call, error):
    before = (risk.behaviours.get(account_id=ACCOUNT), list(risk.integrations.list(account_id=ACCOUNT)))
    with pytest.raises(error):
        call(risk)
    assert (risk.behaviours.get(account_id=ACCOUNT), list(risk.integrations.list(account_id=ACCOUNT))) == before


def test_all_pages_of_accounts_are_listed():
    # Five is the smallest page.
    accounts = [fields(account) for account in client(api_token="lists").accounts.list(per_page=5)]
    assert [account["id"] for account in accounts] == [letter * 32 for letter in "abcdef"]
    assert (accounts[3]["name"], accounts[3]["type"]) == ("Delta", "enterprise")
    first = client(api_token="lists").accounts.list(per_page=5)
    info = first.result_info
    assert (info.page, info.per_page, len(first.result)) == (1, 5, 5)


def test_a_larger_page_than_the_largest_has_its_size():
    assert client(api_token="lists").accounts.list(per_page=100).result_info.per_page == 50


def test_a_token_without_the_permission_gets_an_empty_list():
    assert list(client(api_token="settings-only").accounts.list()) == []


def test_a_token_of_an_account_cannot_list_accounts():
    with pytest.raises(cloudflare.BadRequestError) as refused:
        list(client(api_token="of-an-account").accounts.list())
    assert refused.value.errors[0].code == 1001
