//! HTTP Basic, as the only thing that is shown or beside a signature.

use std::borrow::Cow;

use base64::Engine as _;

use super::alternative::BASIC;
use super::keys::{Keys, is_same};
use super::refusal::Refusal;
use super::signature::BASE64;
use crate::domain::{Request, Secret};

/// Judges HTTP Basic (RFC 7617): the password is all that follows the first colon.
pub(super) fn judge(keys: &Keys, request: &Request) -> Result<(), Refusal> {
    let place = "the header authorization".to_owned();
    let Some(header) = request.headers.one("authorization") else { return Err(Refusal::SignatureMissing { place }) };
    let malformed = |why| Refusal::SignatureMalformed { place: "the header authorization".to_owned(), why };
    let (scheme, packed) = header.split_once(' ').ok_or(malformed("it is not HTTP Basic"))?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(malformed("it is not HTTP Basic"));
    }
    let given = BASE64.decode(packed.trim()).map_err(|_| malformed("it is not HTTP Basic"))?;
    let [username, password] = BASIC.map(|name| keys.secrets.named.get(name).map_or("", Secret::expose));
    let wanted: Cow<'_, str> = format!("{username}:{password}").into();
    if is_same(wanted.as_bytes(), &given) { Ok(()) } else { Err(Refusal::SecretMismatch { place }) }
}
