//! One request and its answer, as the small servers of the tests take and give them.

use std::io::{BufRead, Write};

use anyhow::Result;

/// The head and the body of a request.
pub fn read_request(stream: &mut impl BufRead) -> Result<(String, String)> {
    let mut head = String::new();
    while stream.read_line(&mut head)? > 2 {}
    let lengths = head
        .lines()
        .filter_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse::<usize>().ok());
    let mut body = vec![0; lengths.sum()];
    stream.read_exact(&mut body)?;
    Ok((head, String::from_utf8(body)?))
}

/// Answers with `json`; no other request follows on this connection.
pub fn answer(stream: &mut impl Write, status: &str, json: &str) -> Result<()> {
    let length = json.len();
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n");
    Ok(stream.write_all(format!("{head}connection: close\r\n\r\n{json}").as_bytes())?)
}
