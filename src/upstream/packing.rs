//! Bodies that come packed although nobody asked for it, as some gateways send them.

use std::io::Read;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;

use super::transport::TransportError;

/// gzip begins with these bytes, and no JSON does: so what the headers say does not matter.
const GZIP: [u8; 2] = [0x1F, 0x8B];

/// The body as it was before it was packed, of `bytes_max` bytes at most; any other body as it is.
///
/// # Errors
/// [`TransportError::Connection`] where it can't be unpacked, [`TransportError::TooLarge`] where it would be larger.
pub fn unpacked(body: Bytes, bytes_max: usize) -> Result<Bytes, TransportError> {
    if !body.starts_with(&GZIP) {
        return Ok(body);
    }
    let mut content = Vec::new();
    // Never read to its end unseen: a small body may unpack to any size. One byte too many tells that it is larger.
    let mut reader = MultiGzDecoder::new(&body[..]).take((bytes_max as u64).saturating_add(1));
    let unreadable = |error| TransportError::Connection(format!("the body can't be unpacked: {error}"));
    reader.read_to_end(&mut content).map_err(unreadable)?;
    match content.len() > bytes_max {
        true => Err(TransportError::TooLarge { limit: bytes_max }),
        false => Ok(content.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn packed(content: &[u8]) -> Bytes {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap().into()
    }

    #[test]
    fn a_packed_body_is_unpacked_and_any_other_is_left_alone() {
        let twice = [packed(b"{\"a\""), packed(b":1}")].concat();
        for (body, content) in
            [(packed(b"{}"), &b"{}"[..]), (twice.into(), b"{\"a\":1}"), (Bytes::from_static(b"{}"), b"{}")]
        {
            assert_eq!(unpacked(body, 10).unwrap(), content);
        }
    }

    #[test]
    fn what_is_packed_is_bounded_by_what_comes_out() {
        let body = packed(&vec![0; 100_000]);
        assert!(body.len() < 1000);
        assert_eq!(unpacked(body.clone(), 100_000).unwrap().len(), 100_000);
        assert_eq!(unpacked(body, 99_999), Err(TransportError::TooLarge { limit: 99_999 }));
    }

    #[test]
    fn a_packed_body_that_is_cut_off_is_no_answer() {
        let body = packed(b"{\"relation_list\":[]}");
        for end in 2..body.len() {
            assert!(matches!(unpacked(body.slice(..end), 1000), Err(TransportError::Connection(_))), "cut at {end}");
        }
    }
}
