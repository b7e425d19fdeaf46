//! A visit, and what a person does on a page: goes, looks, clicks, types. Everything waits until it can be done, but not for ever.

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use serde_json::{Value, json};
use thirtyfour::common::capabilities::chromium::ChromiumLikeCapabilities as _;
use thirtyfour::prelude::*;
use thirtyfour::{ChromeCapabilities, LoggingPrefsLogLevel};

use super::handed;

/// Whatever takes longer than this has failed.
const PATIENCE: Duration = Duration::from_secs(15);

/// How the browser is started, beside what the driver itself asks for.
const SWITCHES: [&str; 6] = [
    "--headless=new",
    // A container often lacks both what the sandbox needs and shared memory. The pages are our own.
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--lang=en-GB",
    // A page that fetches from elsewhere shall fail here as it does in a network without a way out.
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
];

/// The window and the colour scheme of a visit. Times are shown in UTC and nothing is animated, so that pictures repeat.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    width: u32,
    height: u32,
    is_phone: bool,
    scheme: &'static str,
}

/// One tab of a browser of its own.
pub(crate) struct Page {
    driver: WebDriver,
}

impl Look {
    pub(crate) const DESKTOP: Self = Self { width: 1280, height: 800, is_phone: false, scheme: "light" };
    pub(crate) const PHONE: Self = Self { width: 390, height: 844, is_phone: true, scheme: "light" };
    /// Each window in each colour scheme.
    pub(crate) const ALL: [Self; 4] = [Self::DESKTOP, Self::DESKTOP.dark(), Self::PHONE, Self::PHONE.dark()];

    /// The same window where the person prefers dark colours.
    pub(crate) const fn dark(self) -> Self {
        Self { scheme: "dark", ..self }
    }

    /// Such as `phone-dark`, for names of pictures.
    pub(crate) fn name(self) -> String {
        format!("{}-{}", if self.is_phone { "phone" } else { "desktop" }, self.scheme)
    }
}

/// Opens a browser, does this, and closes it whatever came of it. A test that fails leaves a picture behind.
///
/// # Panics
/// There is no browser, `test` panics, or the browser had complaints that `test` did not take.
pub(crate) async fn visit(look: Look, test: impl AsyncFnOnce(&Page)) {
    let page = Page::open(look).await;
    let mut result = AssertUnwindSafe(test(&page)).catch_unwind().await;
    if result.is_err() {
        page.tells_why().await;
    } else {
        result = AssertUnwindSafe(page.has_no_complaints()).catch_unwind().await;
    }
    page.driver.quit().await.unwrap();
    if let Err(panic) = result {
        resume_unwind(panic);
    }
}

impl Page {
    async fn open(look: Look) -> Self {
        // The driver's HTTP client insists on a provider, although the driver is never asked by TLS.
        drop(rustls::crypto::ring::default_provider().install_default());
        let mut wanted = ChromeCapabilities::new();
        for switch in SWITCHES {
            wanted.add_arg(switch).unwrap();
        }
        wanted.set_browser_log_level(LoggingPrefsLogLevel::All).unwrap();
        let driver = WebDriver::new(handed("SALEBRIDGE_TEST_WEBDRIVER"), wanted).await.unwrap();
        driver.set_script_timeout(PATIENCE).await.unwrap();
        let page = Self { driver };
        // Not the window's size: a window without a screen is never narrower than 500 pixels.
        page.devtools(
            "Emulation.setDeviceMetricsOverride",
            json!({"width": look.width, "height": look.height, "deviceScaleFactor": 1, "mobile": look.is_phone}),
        )
        .await;
        page.devtools("Emulation.setTouchEmulationEnabled", json!({"enabled": look.is_phone})).await;
        page.devtools("Emulation.setTimezoneOverride", json!({"timezoneId": "UTC"})).await;
        let features = json!([
            {"name": "prefers-color-scheme", "value": look.scheme},
            {"name": "prefers-reduced-motion", "value": "reduce"}
        ]);
        page.devtools("Emulation.setEmulatedMedia", json!({"features": features})).await;
        page
    }

    /// A command of the DevTools protocol: what WebDriver cannot do, such as headers, networks that fail, or other media.
    pub(crate) async fn devtools(&self, method: &str, parameters: Value) -> Value {
        self.driver.cdp().send_raw(method, parameters).await.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// Goes to a URL and waits until it is loaded.
    pub(crate) async fn go(&self, url: &str) {
        self.driver.goto(url).await.unwrap_or_else(|error| panic!("{url}: {error}"));
    }

    /// Where the browser is now.
    pub(crate) async fn url(&self) -> String {
        self.driver.current_url().await.unwrap().to_string()
    }

    /// The first visible element of this CSS selector, as soon as there is one.
    pub(crate) async fn find(&self, css: &str) -> WebElement {
        self.until(&format!("{css} is seen"), async || self.visible(css).await).await
    }

    /// How many elements there are now, visible or not.
    pub(crate) async fn count(&self, css: &str) -> usize {
        self.driver.find_all(By::Css(css)).await.unwrap().len()
    }

    /// The text of an element, as a person reads it.
    pub(crate) async fn text(&self, css: &str) -> String {
        self.until(&format!("{css} can be read"), async || match self.visible(css).await? {
            Some(element) => element.text().await.map(Some),
            None => Ok(None),
        })
        .await
    }

    /// Clicks, as soon as nothing lies above it.
    pub(crate) async fn click(&self, css: &str) {
        let what = format!("{css} can be clicked");
        self.until(&what, async || match self.visible(css).await? {
            Some(element) => element.click().await.map(Some),
            None => Ok(None),
        })
        .await;
    }

    /// Replaces what a field holds.
    pub(crate) async fn fill(&self, css: &str, text: &str) {
        let what = format!("{css} can be filled in");
        self.until(&what, async || match self.visible(css).await? {
            Some(element) => {
                element.clear().await?;
                element.send_keys(text).await.map(Some)
            }
            None => Ok(None),
        })
        .await;
    }

    /// Types into whatever has the focus: text, or keys such as `Key::Tab` and `Key::Shift + Key::Tab`.
    pub(crate) async fn press(&self, keys: impl Into<TypingData>) {
        self.driver.active_element().await.unwrap().send_keys(keys).await.unwrap();
    }

    /// Runs a script in the page and hands back what it returns; a promise is awaited. No policy of the page forbids it.
    pub(crate) async fn run(&self, script: &str, arguments: Vec<Value>) -> Value {
        self.driver.execute(script, arguments).await.unwrap_or_else(|error| panic!("{script:.200}: {error}")).json().clone()
    }

    /// Waits until a JavaScript expression holds, such as `document.title == "Sales"`.
    pub(crate) async fn wait_until(&self, what: &str, expression: &str) {
        let script = format!("return Boolean({expression})");
        self.until(what, async || {
            let holds = self.driver.execute(script.as_str(), vec![]).await?.convert::<bool>()?;
            Ok(holds.then_some(()))
        })
        .await;
    }

    /// Waits until the text of an element holds these words.
    pub(crate) async fn wait_for_text(&self, css: &str, words: &str) {
        self.until(&format!("{css} says {words:?}"), async || {
            let Some(element) = self.visible(css).await? else { return Ok(None) };
            Ok(element.text().await?.contains(words).then_some(()))
        })
        .await;
    }

    /// Keeps a picture of what the window shows.
    pub(crate) async fn picture(&self, name: &str) -> PathBuf {
        let path = PathBuf::from(handed("SALEBRIDGE_TEST_PICTURES")).join(format!("{name}.png"));
        self.driver.screenshot(&path).await.unwrap();
        path
    }

    /// Takes what the browser complained of since it was last asked: errors and warnings, also those by the policy of the page.
    pub(crate) async fn complaints(&self) -> Vec<String> {
        let entries = self.driver.browser_log().await.unwrap();
        let complains = |level: &str| matches!(level, "SEVERE" | "WARNING");
        entries.into_iter().filter(|entry| complains(&entry.level)).map(|entry| entry.message).collect()
    }

    async fn has_no_complaints(&self) {
        let complaints = self.complaints().await;
        assert!(complaints.is_empty(), "the browser complains: {complaints:#?}");
    }

    /// Says where a test failed, as far as the browser can still tell.
    async fn tells_why(&self) {
        let thread = std::thread::current();
        let name: String = thread.name().unwrap_or("test").replace("::", "-");
        let path = PathBuf::from(handed("SALEBRIDGE_TEST_PICTURES")).join(format!("failed-{name}.png"));
        let (url, pictured) = (self.driver.current_url().await, self.driver.screenshot(&path).await);
        println!("at {url:?}, pictured in {}: {pictured:?}", path.display());
        println!("the browser says: {:#?}", self.driver.browser_log().await);
    }

    async fn visible(&self, css: &str) -> WebDriverResult<Option<WebElement>> {
        for element in self.driver.find_all(By::Css(css)).await? {
            if element.is_displayed().await? {
                return Ok(Some(element));
            }
        }
        Ok(None)
    }

    /// Tries again with each frame that the page draws. A page that changes meanwhile makes errors; only the last one is told.
    async fn until<T>(&self, what: &str, attempt: impl AsyncFn() -> WebDriverResult<Option<T>>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let error = match attempt().await {
                Ok(Some(found)) => return found,
                Ok(None) => None,
                Err(error) => Some(error),
            };
            assert!(Instant::now() < deadline, "in {PATIENCE:?} it did not come to pass that {what}: {error:?}");
            drop(self.driver.execute_async("requestAnimationFrame(arguments[0])", vec![]).await);
        }
    }
}
