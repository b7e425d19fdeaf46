//! Signed Stripe webhooks of 3 KB, each a purchase of its own.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::Failure;

/// The source's secret.
pub(crate) const SECRET: &str = "whsec_bench";
const TEMPLATE: &str = include_str!("checkout.json");

/// How ids come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ids {
    /// As Stripe's do: the time first, then the account, then chance. Checkout sessions and click ids are chance throughout.
    Timed,
    /// Chance throughout, the worst case of any index.
    Random,
}

/// So many requests, signed now; ids of one call never return in another.
pub(crate) fn requests(address: &str, count: usize, ids: Ids) -> Result<Vec<Vec<u8>>, Failure> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())?;
    let first = NEXT.fetch_add(count as u64, Ordering::Relaxed);
    Ok((0..count as u64).map(|number| request(address, first + number, now, SECRET, ids)).collect())
}

/// The whole HTTP request of the `number`th webhook.
fn request(address: &str, number: u64, now: i64, secret: &str, ids: Ids) -> Vec<u8> {
    let chance = scatter(number);
    let id = match ids {
        Ids::Timed => format!("1Q{:07}BenchAcct0{:07x}", number / 64, chance >> 36),
        Ids::Random => format!("{chance:016x}{:010x}", scatter(chance) >> 24),
    };
    let body = TEMPLATE.trim_end().replace("@ID@", &id).replace("@RANDOM@", &format!("{chance:016x}"));
    let body = body.replace("@NOW@", &now.to_string());
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(format!("{now}.").as_bytes());
    mac.update(body.as_bytes());
    let signature = hex::encode(mac.finalize().into_bytes());
    format!(
        "POST /webhooks/stripe HTTP/1.1\r\nHost: {address}\r\nUser-Agent: Stripe/1.0 (+https://stripe.com/docs/webhooks)\r\n\
         Accept: */*\r\nContent-Type: application/json; charset=utf-8\r\nStripe-Signature: t={now},v1={signature}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Ids in no order, as providers' are (the finaliser of splitmix64).
fn scatter(number: u64) -> u64 {
    let mut value = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
