"""A browser for tests of pages: Debian's Chromium without a window, by selenium."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from axe_core_python.selenium import Axe
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException, WebDriverException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

ARGUMENTS = ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu")
PATIENCE = 20  # seconds


class Browser:
    """What tests do with a page; ``driver`` is selenium's.

    Args:
        downloads: folder that downloads land in.
    """

    def __init__(self, downloads: Path) -> None:
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
        for argument in ARGUMENTS:
            options.add_argument(argument)
        self.downloads = downloads
        self.driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
        self.driver.implicitly_wait(5)

    def reset(self) -> None:
        """Usual size, light scheme, no script switched off, nothing in the log."""
        self.scripts(True)
        self.size(1000, 900)
        self.scheme("light")
        self.errors()

    def open(self, url: str) -> None:
        """Go to a page, anew also where only its fragment differs."""
        self.driver.get("about:blank")
        self.driver.get(url)

    def size(self, width: int, height: int) -> None:
        """The window's size in CSS pixels, also below what a desktop allows; a narrow one is a phone's."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def scheme(self, name: str) -> None:
        """``light`` or ``dark``; motion reduced, so that what is seen is what stays."""
        features = [
            {"name": "prefers-color-scheme", "value": name},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def scripts(self, on: bool) -> None:
        """Whether pages opened from now on may run scripts."""
        self.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": not on})

    def one(self, selector: str) -> WebElement:
        """The first element, waited for."""
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector: str) -> list[WebElement]:
        """Every element there is now."""
        self.driver.implicitly_wait(0)
        try:
            return self.driver.find_elements(By.CSS_SELECTOR, selector)
        finally:
            self.driver.implicitly_wait(5)

    def texts(self, selector: str) -> list[str]:
        """What the elements that can be seen say."""
        return [element.text for element in self.all(selector) if element.is_displayed()]

    def run(self, script: str, *arguments: Any) -> Any:
        """The outcome of a script."""
        return self.driver.execute_script(script, *arguments)

    def until(self, condition: Callable[[], Any]) -> Any:
        """Wait until it holds."""

        def attempt(_: Any) -> Any:
            try:
                return condition()
            except WebDriverException as error:
                # The page is being replaced; in some moments chromedriver has no class for that.
                gone = "does not belong to the document" in (error.msg or "")
                if not gone and not isinstance(error, StaleElementReferenceException):
                    raise
                return False

        return WebDriverWait(self.driver, PATIENCE, 0.1).until(attempt)

    def press(self, key: str, element: WebElement | None = None) -> None:
        """Press a key, such as ``TAB``, on an element; by default where the focus is."""
        (element or self.driver.switch_to.active_element).send_keys(getattr(Keys, key, key))

    def hover(self, element: WebElement) -> None:
        """Put the pointer on an element."""
        ActionChains(self.driver).scroll_to_element(element).move_to_element(element).perform()

    def tab_to(self, selector: str, most: int = 80) -> WebElement:
        """Press Tab until the focus is on a matching element."""
        for _ in range(most):
            self.press("TAB")
            active = self.driver.switch_to.active_element
            if self.run("return arguments[0].matches(arguments[1])", active, selector):
                return active
        raise AssertionError(f"the Tab key does not reach {selector}")

    def clipboard(self) -> str:
        """The text in the clipboard."""
        self.driver.execute_cdp_cmd("Browser.grantPermissions", {"permissions": ["clipboardReadWrite"]})
        return self.driver.execute_async_script("navigator.clipboard.readText().then(arguments[0])")

    def downloaded(self, name: str) -> bytes:
        """A file that the page saves, waited for and taken away."""
        path = self.downloads / name
        self.until(path.is_file)
        content = path.read_bytes()
        path.unlink()
        return content

    def flaws(self) -> list[str]:
        """Serious and critical findings of axe: rule and element."""
        violations = Axe().run(self.driver)["violations"]
        return [
            f"{rule['id']}: {node['html']} {node['failureSummary']}"
            for rule in violations
            if rule["impact"] in ("serious", "critical")
            for node in rule["nodes"]
        ]

    def overflow(self) -> int:
        """Pixels by which the page is wider than the window; a phone's ``innerWidth`` would grow with it."""
        return self.run("const page = document.documentElement; return page.scrollWidth - page.clientWidth")

    def errors(self) -> list[str]:
        """What the console has told of errors since last asked."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]
