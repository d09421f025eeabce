use std::sync::LazyLock;

use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, GrayImage, ImageFormat, Rgba};
use qrcode::{Color, QrCode};

use super::*;

const TEXT: &str = "pages/poster?number=1&promoter_mark=0123456789abcdef";

/// A code with `pixels` for each module and a frame of `frame` modules.
fn code(text: &str, pixels: u32, frame: u32) -> DynamicImage {
    let code = QrCode::new(text).unwrap();
    let (modules, colors) = (code.width() as u32, code.to_colors());
    let side = (modules + 2 * frame) * pixels;
    let image = GrayImage::from_fn(side, side, |x, y| {
        let place = |at: u32| (at / pixels).checked_sub(frame).filter(|place| *place < modules);
        let dark = place(x).zip(place(y)).is_some_and(|(x, y)| colors[(y * modules + x) as usize] == Color::Dark);
        Luma([if dark { 0 } else { 255 }])
    });
    DynamicImage::ImageLuma8(image)
}

fn png(image: &DynamicImage) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

fn jpeg(image: &DynamicImage, quality: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    image.to_rgb8().write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, quality)).unwrap();
    bytes
}

/// The pixels that a terminal shows for a text, row by row.
fn seen(text: &str) -> Vec<Vec<[u8; 3]>> {
    let mut rows = Vec::new();
    for line in text.lines() {
        let (mut upper, mut lower, mut colours) = (Vec::new(), Vec::new(), None);
        let mut rest = line;
        while let Some(letter) = rest.chars().next() {
            rest = &rest[letter.len_utf8()..];
            match letter {
                '▀' => {
                    let (above, below) = colours.expect("a block has its colours");
                    upper.push(above);
                    lower.push(below);
                }
                '\u{1b}' => {
                    let (sequence, behind) = rest.strip_prefix('[').unwrap().split_once('m').unwrap();
                    rest = behind;
                    let numbers: Vec<u8> = sequence.split(';').map(|number| number.parse().unwrap()).collect();
                    colours = match numbers[..] {
                        [38, 2, a, b, c, 48, 2, d, e, f] => Some(([a, b, c], [d, e, f])),
                        [0] => None,
                        _ => panic!("{sequence} is no colour"),
                    };
                }
                other => panic!("{other:?} is no block"),
            }
        }
        assert_eq!(colours, None, "no line leaves its colours to the next");
        rows.extend([upper, lower]);
    }
    rows
}

/// What a reader of codes reads from the terminal. It sees each pixel as a square, as a camera would.
fn scanned(text: &str) -> Vec<String> {
    const SQUARE: usize = 5;
    let rows = seen(text);
    let light = |x: usize, y: usize| rows[y / SQUARE][x / SQUARE][0];
    let (width, height) = (rows[0].len() * SQUARE, rows.len() * SQUARE);
    let mut prepared = rqrr::PreparedImage::prepare_from_greyscale(width, height, light);
    prepared.detect_grids().iter().map(|code| code.decode().unwrap().1).collect()
}

#[test]
fn a_code_stays_one_that_can_be_scanned_whatever_its_resolution_and_kind() {
    let uneven = code(TEXT, 4, 4).resize_exact(131, 131, FilterType::Nearest);
    let images = [
        ("one pixel for each module", png(&code(TEXT, 1, 4))),
        ("no frame", png(&code(TEXT, 3, 0))),
        ("large", png(&code(TEXT, 13, 4))),
        ("an uneven resolution", png(&uneven)),
        ("a JPEG with its noise", jpeg(&code(TEXT, 6, 2), 50)),
        ("blurred", png(&code(TEXT, 8, 4).blur(2.0))),
    ];
    for (what, image) in images {
        let text = draw(&image, 80).unwrap();
        assert_eq!(scanned(&text), [TEXT], "{what}");
        let modules = QrCode::new(TEXT).unwrap().width();
        assert!(seen(&text).iter().all(|row| row.len() == modules + 8), "{what}: a letter for each module");
    }
}

#[test]
fn a_code_that_does_not_fit_is_refused_with_the_columns_it_needs() {
    let image = png(&code(TEXT, 4, 4));
    let needed = QrCode::new(TEXT).unwrap().width() as u16 + 8;
    assert_eq!(scanned(&draw(&image, needed).unwrap()), [TEXT]);
    for columns in [needed - 1, 8, 0] {
        let error = draw(&image, columns).unwrap_err().to_string();
        assert_eq!(error, format!("the image needs a terminal with at least {needed} columns"));
    }
}

#[test]
fn another_image_keeps_its_colours_and_is_scaled_to_the_columns() {
    let colours = [[200, 0, 0], [0, 150, 0], [0, 0, 250], [90, 90, 90]];
    let quarters = |side: u32| {
        RgbImage::from_fn(side, side, |x, y| {
            Rgb(colours[(2 * (y >= side / 2) as u32 + (x >= side / 2) as u32) as usize])
        })
    };
    let small = seen(&draw(&png(&quarters(2).into()), 80).unwrap());
    assert_eq!((small.len(), small[0].len()), (10, 10), "it is framed and not enlarged");
    assert_eq!([small[4][4], small[4][5], small[5][4], small[5][5]], colours);
    let large = seen(&draw(&png(&quarters(400).into()), 60).unwrap());
    assert_eq!((large.len(), large[0].len()), (60, 60));
    assert_eq!([large[10][10], large[10][50], large[50][10], large[50][50]], colours);
    assert_eq!(large[0][0], [255; 3]);
}

#[test]
fn what_is_transparent_is_white() {
    let image = RgbaImage::from_fn(2, 1, |x, _| Rgba([0, 0, 0, if x == 0 { 0 } else { 255 }]));
    let rows = seen(&draw(&png(&image.into()), 80).unwrap());
    assert_eq!(rows[4][4..6], [[255; 3], [0; 3]]);
    assert_eq!(rows.len(), 10, "a last row of its own has a light one below it");
}

#[test]
fn an_image_beyond_the_bounds_is_refused_before_it_is_decoded() {
    let mut wide = png(&DynamicImage::new_luma8(1, 1));
    // The width stands behind the signature and the name of the first chunk.
    wide[16..20].copy_from_slice(&1_000_000_000_u32.to_be_bytes());
    assert!(draw(&wide, 80).is_err());
    let large = png(&DynamicImage::new_luma8(SIDE_MAX + 1, 1));
    assert!(draw(&large, 80).unwrap_err().to_string().contains("limit"));
}

#[test]
fn what_is_no_image_is_refused() {
    let half = png(&code(TEXT, 4, 4));
    for bytes in [&b""[..], b"GIF89a", b"\x89PNG\r\n\x1a\n", &half[..half.len() / 2]] {
        assert!(draw(bytes, 80).unwrap_err().to_string().starts_with("the image can't be decoded: "));
    }
}

static PNG: LazyLock<Vec<u8>> = LazyLock::new(|| png(&code("p", 2, 1)));
static JPEG: LazyLock<Vec<u8>> = LazyLock::new(|| jpeg(&code("p", 2, 1), 80));

proptest::proptest! {
    #[test]
    fn damaged_images_are_drawn_or_refused(place: proptest::sample::Index, byte: u8, columns: u16, is_png: bool) {
        let mut bytes = if is_png { PNG.clone() } else { JPEG.clone() };
        let place = place.index(bytes.len());
        bytes[place] = byte;
        if let Ok(text) = draw(&bytes, columns) {
            proptest::prop_assert!(seen(&text).iter().all(|row| row.len() <= usize::from(columns)));
        }
    }
}
