"""Make the README's picture of the page from a running gateway: ``python tools/screenshot.py docs/page.png``."""

from __future__ import annotations

import argparse
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait


def browser(width: int, height: int, scheme: str) -> webdriver.Chrome:
    """Debian's Chromium without a window; ``scheme`` is ``light`` or ``dark``."""
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars", "--disable-gpu"):
        options.add_argument(argument)
    driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    metrics = {"width": width, "height": height, "deviceScaleFactor": 2, "mobile": width < 600}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    features = [
        {"name": "prefers-color-scheme", "value": scheme},
        {"name": "prefers-reduced-motion", "value": "reduce"},
    ]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    return driver


def shoot(url: str, target: Path, *, example: str, width: int, height: int, scheme: str) -> None:
    """Fill in an example (an invented text), wait for the answer, and write the whole page as PNG."""
    driver = browser(width, height, scheme)
    try:
        driver.get(url)
        link = driver.find_element(By.CSS_SELECTOR, f'a[href="/?example={example}"]')
        driver.execute_script("arguments[0].click()", link)
        WebDriverWait(driver, 60).until(
            lambda page: page.find_elements(By.CSS_SELECTOR, "#result:not([aria-busy]) .card")
        )
        driver.execute_script("document.activeElement.blur(); scrollTo(0, 0)")
        full = driver.execute_script("return document.documentElement.scrollHeight")
        metrics = {"width": width, "height": full, "deviceScaleFactor": 2, "mobile": width < 600}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        target.parent.mkdir(parents=True, exist_ok=True)
        driver.save_screenshot(str(target))
    finally:
        driver.quit()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", type=Path)
    parser.add_argument("--url", default="http://127.0.0.1:8000/")
    parser.add_argument("--example", default="harbour")
    parser.add_argument("--width", type=int, default=1100)
    parser.add_argument("--height", type=int, default=900)
    parser.add_argument("--scheme", choices=("light", "dark"), default="light")
    options = parser.parse_args()
    size = {"width": options.width, "height": options.height}
    shoot(options.url, options.target, example=options.example, scheme=options.scheme, **size)


if __name__ == "__main__":
    main()
