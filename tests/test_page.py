"""That a page does in a real browser what it says: draws, filters, sorts, fits a phone, and asks no network."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pages import EVIL, NAMES, POINTS, RIGHT_TO_LEFT, report, section
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait
from test_growth import members

from bench import record
from bench.report import page, table
from bench.report.charts import growth, of_record
from bench.report.document import Section
from bench.report.growth import LIMITS

GOLDEN = Path(__file__).parent / "golden" / "record-3.json"
WIDTHS = (390, 1440)
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND",
)
AT_MOST_S = 120


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """The one that is installed, by its own driver: nothing is downloaded."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        lacks = "chromium and chromedriver (Debian: apt-get install chromium-driver) aren't installed"
        pytest.fail(lacks) if os.environ.get("CI") else pytest.skip(lacks)
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('browser')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    started = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    started.get("about:blank")
    requested(started)  # the browser's own first page isn't ours
    yield started
    started.quit()


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of a report made by hand, of a record with all the charts that it has, and of one whose cases grow."""
    of, grows = record.read(GOLDEN), members()
    sections = [
        section(),
        Section(RIGHT_TO_LEFT, table.build(of), tuple(of_record(of))),
        Section("grows.json", table.build(grows), tuple(growth.charts(grows))),
    ]
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(page.render(sections), encoding="utf-8")
    return path


@pytest.fixture(params=WIDTHS, scope="module")
def opened(request: pytest.FixtureRequest, browser: webdriver.Chrome, written: Path) -> webdriver.Chrome:
    """The browser, as wide as a phone and as a screen, once the page has drawn its charts; tests leave it as it was."""
    size = {"width": request.param, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get(written.as_uri())
    WebDriverWait(browser, AT_MOST_S, 0.05).until(lambda at: at.execute_script(DRAWN))
    return browser


DRAWN = "return document.documentElement.dataset.drawn === 'true'"


def requested(browser: webdriver.Chrome) -> set[str]:
    """The addresses asked for since the last call."""
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    return {m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"}


def points(figure: WebElement) -> int:
    return len(figure.find_elements(By.CSS_SELECTOR, ".role-mark.mark-symbol path"))


def wait_for(browser: webdriver.Chrome, figure: WebElement, count: int) -> None:
    WebDriverWait(browser, AT_MOST_S, 0.02).until(lambda _: points(figure) == count)


def test_every_chart_and_row_of_a_report_is_there(opened: webdriver.Chrome) -> None:
    of = record.read(GOLDEN)
    for key, tables, charts in (
        ("report-1", report().tables, 2),
        ("report-2", table.build(of).tables, len(of_record(of))),
    ):
        shown = opened.find_element(By.ID, key)
        assert len(shown.find_elements(By.CSS_SELECTOR, "figure")) == charts
        assert len(shown.find_elements(By.CSS_SELECTOR, "figure svg.marks")) == charts
        rows = shown.find_elements(By.CSS_SELECTOR, ".scroll:not(figure *) tbody tr")
        assert len(rows) == sum(len(one.rows) for one in tables)
    assert points(opened.find_element(By.ID, "report-1-points")) == len(NAMES) * POINTS


def test_it_fits_its_width(opened: webdriver.Chrome) -> None:
    wide, has = opened.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
    assert wide <= has


def test_names_are_shown_as_texts(opened: webdriver.Chrome) -> None:
    first = opened.find_element(By.ID, "report-1")
    assert first.find_elements(By.CSS_SELECTOR, "img, b") == []
    assert first.find_element(By.CSS_SELECTOR, "h2").text == report().title
    figure = opened.find_element(By.ID, "report-1-points")
    assert [button.text for button in figure.find_elements(By.CSS_SELECTOR, ".legend button bdi")] == list(NAMES)


def test_a_point_under_the_mouse_says_what_it_is(opened: webdriver.Chrome) -> None:
    figure = opened.find_element(By.ID, "report-1-points")
    opened.execute_script("arguments[0].scrollIntoView({block: 'center'})", figure)
    point = figure.find_elements(By.CSS_SELECTOR, ".role-mark.mark-symbol path")[POINTS]
    ActionChains(opened).move_to_element(point).perform()
    told = opened.find_elements(By.CSS_SELECTOR, "#vg-tooltip-element.visible td")
    assert [cell.text for cell in told] == ["series", NAMES[1], "x", "0"]


@pytest.mark.parametrize("by", ["mouse", "keyboard"])
def test_a_button_of_the_legend_takes_its_series_away_and_brings_it_back(opened: webdriver.Chrome, by: str) -> None:
    figure = opened.find_element(By.ID, "report-1-points")
    button = figure.find_elements(By.CSS_SELECTOR, ".legend button")[1]
    opened.execute_script("arguments[0].scrollIntoView({block: 'center'})", button)

    def press() -> None:
        button.click() if by == "mouse" else button.send_keys(Keys.SPACE)

    assert button.get_attribute("aria-pressed") == "true"
    press()
    wait_for(opened, figure, (len(NAMES) - 1) * POINTS)
    assert button.get_attribute("aria-pressed") == "false"
    press()
    wait_for(opened, figure, len(NAMES) * POINTS)
    assert button.get_attribute("aria-pressed") == "true"
    assert points(opened.find_element(By.ID, "report-1-others")) == len(NAMES) * POINTS


def test_every_legend_of_a_record_filters_its_own_chart(opened: webdriver.Chrome) -> None:
    marks = "return arguments[0].querySelectorAll('.role-mark path').length"
    for figure in opened.find_elements(By.CSS_SELECTOR, "#report-2 figure"):
        buttons = figure.find_elements(By.CSS_SELECTOR, ".legend button")
        assert buttons
        before = opened.execute_script(marks, figure)
        for button in buttons:
            opened.execute_script("arguments[0].click()", button)
        WebDriverWait(opened, AT_MOST_S, 0.02).until(lambda at, of=figure, n=before: at.execute_script(marks, of) < n)
        for button in buttons:
            opened.execute_script("arguments[0].click()", button)


def test_dashes_have_a_legend_where_series_have_buttons(opened: webdriver.Chrome) -> None:
    time, memory = opened.find_elements(By.CSS_SELECTOR, "#report-3 figure")
    drawn = "return [...arguments[0].querySelectorAll('.role-legend-label text')].map((of) => of.textContent)"
    assert opened.execute_script(drawn, time) == [f"limit: {said}" for said in LIMITS.values()]
    assert opened.execute_script(drawn, memory) == []
    assert [button.text for button in time.find_elements(By.CSS_SELECTOR, ".legend button")] == ["ensemble"]


def column(browser: webdriver.Chrome, number: int) -> tuple[WebElement, list[str]]:
    """A heading of the first table, and the names of its rows as they stand."""
    shown = browser.find_element(By.CSS_SELECTOR, '#report-1 .scroll[aria-labelledby="report-1-table-1"]')
    heading = shown.find_elements(By.CSS_SELECTOR, "thead th")[number]
    return heading, [name.text for name in shown.find_elements(By.CSS_SELECTOR, "tbody th")]


@pytest.mark.parametrize(
    ("number", "upwards", "downwards"),
    [
        # By seconds; the one without stays last, and those of 80 us keep their order.
        (
            1,
            [RIGHT_TO_LEFT, "single", "Single", "data_parallel", EVIL],
            ["data_parallel", "single", "Single", RIGHT_TO_LEFT, EVIL],
        ),
        (
            2,
            [EVIL, "data_parallel", "single", RIGHT_TO_LEFT, "Single"],
            ["data_parallel", EVIL, "single", RIGHT_TO_LEFT, "Single"],
        ),
    ],
)
def test_a_heading_sorts_its_table_upwards_downwards_and_back(
    opened: webdriver.Chrome, number: int, upwards: list[str], downwards: list[str]
) -> None:
    heading, came = column(opened, number)
    button = heading.find_element(By.CSS_SELECTOR, "button")
    for said, order in (("ascending", upwards), ("descending", downwards), ("none", came)):
        button.send_keys(Keys.ENTER)
        heading, now = column(opened, number)
        assert (heading.get_attribute("aria-sort"), now) == (said, order)


def test_one_column_at_a_time_is_said_to_be_sorted(opened: webdriver.Chrome) -> None:
    headings = [column(opened, number)[0] for number in range(3)]
    buttons = [heading.find_element(By.CSS_SELECTOR, "button") for heading in headings]
    for button in buttons[:2]:
        button.send_keys(Keys.ENTER)
    assert [heading.get_attribute("aria-sort") for heading in headings] == ["none", "ascending", "none"]
    for _ in range(2):
        buttons[1].send_keys(Keys.ENTER)


def colours(browser: webdriver.Chrome) -> Any:
    """Of the page, of its text, and of the labels of a chart."""
    return browser.execute_script(
        "const of = (at) => getComputedStyle(document.querySelector(at));"
        "return [of('body').backgroundColor, of('body').color, of('.mark-text.role-axis-label text').fill]"
    )


def test_the_button_makes_it_dark_and_light_again_with_its_charts(opened: webdriver.Chrome) -> None:
    button = opened.find_element(By.ID, "dark")
    light = colours(opened)
    assert button.get_attribute("aria-pressed") == "false"
    button.click()
    dark = colours(opened)
    assert button.get_attribute("aria-pressed") == "true"
    assert all(a != b for a, b in zip(light, dark, strict=True))
    assert dark[1] == dark[2]
    button.click()
    assert colours(opened) == light


def test_it_prints_light_with_everything_open_and_closes_it_again(opened: webdriver.Chrome) -> None:
    closed = "return document.querySelectorAll('details:not([open])').length"
    before = opened.execute_script(closed)
    assert before > 0
    opened.execute_script("dispatchEvent(new Event('beforeprint'))")
    assert opened.execute_script(closed) == 0
    opened.find_element(By.ID, "dark").click()
    opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert colours(opened)[0] == "rgb(255, 255, 255)"
    assert not opened.find_element(By.ID, "dark").is_displayed()
    opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    opened.execute_script("dispatchEvent(new Event('afterprint'))")
    assert opened.execute_script(closed) == before


def test_a_chart_that_can_not_be_drawn_says_so_and_shows_its_numbers(browser: webdriver.Chrome, tmp_path: Path) -> None:
    undrawable = dataclasses.replace(section().charts[0], spec={"width": float("nan")})
    (tmp_path / "page.html").write_text(page.render([dataclasses.replace(section(), charts=(undrawable,))]))
    before = browser.current_window_handle
    browser.switch_to.new_window("tab")
    browser.get((tmp_path / "page.html").as_uri())
    WebDriverWait(browser, AT_MOST_S, 0.05).until(lambda at: at.execute_script(DRAWN))
    figure = browser.find_element(By.CSS_SELECTOR, "figure")
    assert figure.find_element(By.CSS_SELECTOR, ".chart").text.startswith("This chart could not be drawn")
    assert len(figure.find_elements(By.CSS_SELECTOR, "details[open] tbody tr")) == len(NAMES) * POINTS
    browser.close()
    browser.switch_to.window(before)


def test_the_first_key_leads_past_the_header(opened: webdriver.Chrome) -> None:
    opened.refresh()
    opened.find_element(By.CSS_SELECTOR, "body").send_keys(Keys.TAB)
    link = opened.switch_to.active_element
    assert (link.text, link.is_displayed()) == ("Skip to the content", True)
    link.send_keys(Keys.ENTER)
    assert opened.switch_to.active_element.get_attribute("id") == "content"


def test_after_all_that_nothing_was_said_to_the_console_and_no_network_was_asked(
    opened: webdriver.Chrome, written: Path
) -> None:
    assert opened.get_log("browser") == []
    asked = requested(opened)
    assert written.as_uri() in asked
    assert {url.partition(":")[0] for url in asked} <= {"file", "data", "blob"}
