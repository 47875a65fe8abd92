"""The page about the models in a browser: read by anyone, ordered from by who has the token."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from multiner.pipeline.registry import champion
from tests.serving import registry
from tests.serving.routing.twins import Shadowed, entity

if TYPE_CHECKING:
    from tests.serving.airflow.fake_airflow import FakeAirflow
    from tests.serving.page.browser import Browser

pytestmark = [pytest.mark.slow, pytest.mark.e2e]
TOKEN = "a-token-for-tests"


@pytest.fixture
def page(harness: Any, serving: Any, airflow: FakeAirflow) -> Iterator[str]:
    """The page's address, of a gateway with a registry and an Airflow."""
    with serving(registry.gateway(harness, airflow.workspace)) as live:
        while "registry has not answered" in httpx.get(f"{live.url}models", trust_env=False, timeout=60).text:
            continue  # its first answer may be late
        yield f"{live.url}models"


def enter(browser: Browser, page: str) -> None:
    """Sign in."""
    browser.driver.delete_all_cookies()
    browser.open(page)
    browser.one("#token").send_keys(TOKEN)
    browser.one("#sign-in button").click()
    browser.until(lambda: browser.all("#sign-out"))


def press(browser: Browser, selector: str) -> None:
    """Press a button that asks for confirmation; what an action changed may be put in its place meanwhile."""
    browser.until(lambda: browser.one(selector).click() or True)
    browser.until(lambda: browser.one("#confirm-yes").is_displayed())


def order(browser: Browser, selector: str) -> None:
    """Press a button and confirm."""
    press(browser, selector)
    browser.one("#confirm-yes").click()


def test_wrong_and_right_tokens(page: str, browser: Browser) -> None:
    browser.driver.delete_all_cookies()
    browser.open(page)
    assert not browser.all("[data-action]")
    browser.one("#token").send_keys("wrong")
    browser.one("#sign-in button").click()
    browser.until(lambda: "wrong" in browser.one("#desk-status").text)
    assert browser.one("#token").get_attribute("value") == ""
    assert browser.driver.switch_to.active_element.get_attribute("id") == "token"
    browser.one("#token").send_keys(TOKEN)
    browser.one("#sign-in button").click()
    browser.until(lambda: browser.all("#sign-out"))
    assert browser.run("return document.cookie") == "", "scripts cannot read the session"
    assert browser.run("return sessionStorage.length + localStorage.length") == 0
    browser.one("#sign-out").click()
    browser.until(lambda: browser.all("#token"))
    assert not browser.all("[data-action]")
    assert all("401" in error for error in browser.errors())


def test_a_rollback_after_confirmation(page: str, browser: Browser, airflow: FakeAirflow) -> None:
    enter(browser, page)
    button = '#language-en [data-action="rollback"]'
    assert browser.one(button).text == "Roll back to version 1 …"
    browser.one(button).click()
    browser.until(lambda: "version 2" in browser.one("#confirm-text").text.lower())
    browser.press("ESCAPE")
    browser.until(lambda: not browser.one("#confirm").is_displayed())
    assert not browser.all(".action"), "not confirmed, not done"
    assert champion(airflow.workspace, "en").version == "2"
    order(browser, button)
    browser.until(lambda: "Version 1 is champion again" in browser.one("#desk-status").text)
    browser.until(lambda: browser.one("#language-en .language-head strong").text == "1")
    assert champion(airflow.workspace, "en").version == "1"
    browser.until(lambda: browser.texts("#language-en .chip.live") == ["live"])
    assert "Rollback (en)" in browser.one(".action--success").text
    assert not browser.all(button), "there is nothing before version 1"
    assert "No rollback" in browser.one("#language-en").text
    assert browser.errors() == []


def test_a_rollback_with_its_reason_is_on_record(page: str, browser: Browser) -> None:
    enter(browser, page)
    press(browser, '#language-en [data-action="deploy"]')
    assert not browser.one("#confirm-reason").is_displayed(), "goes with rollbacks only"
    browser.one("#confirm-no").click()
    browser.until(lambda: not browser.one("#confirm").is_displayed())
    press(browser, '#language-en [data-action="rollback"]')
    assert browser.driver.switch_to.active_element.get_attribute("id") == "confirm-no", "not by haste"
    browser.one("#confirm-reason").send_keys("wrong in headlines")
    browser.press("ENTER")
    browser.until(lambda: browser.all(".action--success"))
    assert "Reason: wrong in headlines" in browser.one(".action--success").text
    rows = "#language-en .switches tbody tr"
    browser.until(lambda: len(browser.all(rows)) == 3)
    latest = browser.all(rows)[0].text
    for text in ("2 → 1", "rollback", "operator's desk (token, by the page)", "wrong in headlines"):
        assert text in latest, latest
    assert "1 → 2" in browser.all(rows)[1].text
    assert browser.errors() == []


def test_a_retraining_is_followed(page: str, browser: Browser, airflow: FakeAirflow) -> None:
    enter(browser, page)
    order(browser, '#language-en [data-action="retrain"]')
    browser.until(lambda: browser.all(".action--running"))
    run = airflow.run_of("retrain_en")
    airflow.add("retrain_en", run, "running", prepare_en="success", train_en="running")
    browser.until(lambda: browser.texts(".task--running") == ["train_en running"])
    assert browser.texts(".task--success") == ["prepare_en success, 1 min 5 s"]
    browser.one(".action summary").click()  # closed by the reader
    airflow.add("retrain_en", run, "success", prepare_en="success", train_en="success")
    airflow.events["retrain_en", run] = [("promote_en", "p")]
    airflow.add("promote_en", "p", "failed", promote="success", deploy="failed")
    browser.until(lambda: browser.all(".action--failed"))
    assert "deploy of promote_en" in browser.one("#desk-status").text
    assert not browser.all(".action details[open]"), "stays as the reader left it"
    assert browser.errors() == []


def test_a_shadow_is_watched_while_it_counts(
    harness: Any, serving: Any, airflow: FakeAirflow, browser: Browser
) -> None:
    shadowed = Shadowed(lambda text: [entity(0, 4, "LOC")])
    gateway = registry.gateway(harness, airflow.workspace, **shadowed.settings)
    with serving(gateway) as live:
        browser.open(f"{live.url}models")
        browser.until(lambda: "running since" in browser.one("#shadow-en").text)
        assert browser.one("#shadow-en .shadow-calls").text == "0, 0 differ"
        assert not browser.all("#shadow-ru dl"), "no challenger waits for Russian"
        call = {"text": "Anna met Maria in Oslo", "language": "en"}
        assert httpx.post(f"{live.url}v1/entities", json=call, trust_env=False).status_code == 200
        browser.until(lambda: browser.one("#shadow-en .shadow-calls").text == "1, 1 differ")
        rows = [row.text for row in browser.all("#shadow-en .differences tbody tr")]
        assert rows[:3] == ["only version 2 has 2 PER 2", "only version 7 has 0 –", "of another type 1 PER 1"]
        assert browser.errors() == []
        for scheme in ("light", "dark"):
            browser.scheme(scheme)
            assert browser.flaws() == []
        browser.size(360, 740)
        assert browser.overflow() == 0


def test_a_second_operator_is_told_what_runs(page: str, browser: Browser, airflow: FakeAirflow) -> None:
    enter(browser, page)
    with httpx.Client(trust_env=False, headers={"authorization": f"Bearer {TOKEN}"}) as other:
        assert other.post(page.replace("/models", "/admin/actions"), json={"action": "validate"}).status_code == 202
    order(browser, '#desk [data-action="validate"]')
    browser.until(lambda: "Validation runs since" in browser.one("#desk-status").text)
    assert len(browser.all(".action")) == 1
    assert len(airflow.runs) == 1


def test_without_airflow_the_page_says_what_to_do(page: str, browser: Browser, airflow: FakeAirflow) -> None:
    airflow.password = "changed"
    enter(browser, page)
    order(browser, '#language-ru [data-action="retrain"]')
    browser.until(lambda: "ner up" in browser.one("#desk-status").text)
    assert "ner up" in browser.one(".action--failed").text


def test_a_session_that_has_ended_asks_for_the_token(page: str, browser: Browser) -> None:
    enter(browser, page)
    browser.driver.delete_all_cookies()
    order(browser, '#language-en [data-action="deploy"]')
    browser.until(lambda: browser.all("#token"))


def test_by_keyboard_alone(page: str, browser: Browser, airflow: FakeAirflow) -> None:
    browser.driver.delete_all_cookies()
    browser.open(page)
    browser.tab_to("#token").send_keys(TOKEN)
    browser.press("ENTER")
    browser.until(lambda: browser.all("#sign-out"))
    button = browser.tab_to('#language-en [data-action="rollback"]')
    browser.press("ENTER", button)
    browser.until(lambda: browser.one("#confirm").is_displayed())
    assert browser.run("return document.getElementById('confirm').contains(document.activeElement)")
    browser.press("ESCAPE")
    browser.until(lambda: not browser.one("#confirm").is_displayed())
    assert browser.driver.switch_to.active_element == button, "back where it was"
    browser.press("ENTER", button)
    browser.until(lambda: browser.one("#confirm").is_displayed())
    browser.tab_to("#confirm-yes")
    browser.press("ENTER")
    browser.until(lambda: browser.all(".action--success"))
    assert champion(airflow.workspace, "en").version == "1"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(page: str, browser: Browser, airflow: FakeAirflow, scheme: str) -> None:
    browser.scheme(scheme)
    browser.driver.delete_all_cookies()
    browser.open(page)
    browser.run("document.querySelectorAll('details').forEach((each) => { each.open = true })")
    assert browser.flaws() == []
    enter(browser, page)
    order(browser, '#desk [data-action="validate"]')
    browser.until(lambda: browser.all(".action--running"))
    airflow.add("data", airflow.run_of("data"), "failed", pull="success", validate_en="failed")
    browser.until(lambda: browser.all(".task--failed"))
    assert browser.flaws() == []
    press(browser, '#language-en [data-action="rollback"]')
    assert browser.flaws() == []
    assert browser.errors() == []


def test_on_a_phone(page: str, browser: Browser) -> None:
    browser.size(360, 740)
    enter(browser, page)
    browser.run("document.querySelectorAll('details').forEach((each) => { each.open = true })")
    assert browser.overflow() == 0
    order(browser, '#language-en [data-action="rollback"]')
    browser.until(lambda: browser.all(".action--success"))
    assert browser.overflow() == 0


def test_without_scripts_everything_can_be_read(page: str, browser: Browser) -> None:
    browser.driver.delete_all_cookies()
    browser.scripts(False)
    browser.open(page)
    assert "91.75" in browser.one("#language-en").text
    assert not browser.one("#token").is_displayed()
    assert "ner rollback" in browser.one("#desk").text
