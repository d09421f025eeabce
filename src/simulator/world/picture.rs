//! The picture of a QR code.

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};
use qrcode::{Color, EcLevel, QrCode};

/// What the largest code of this error correction holds.
pub const TEXT_BYTES_MAX: usize = 2331;
const ERROR_CORRECTION: EcLevel = EcLevel::M;
const MODULE_PIXELS: usize = 4;
/// The light frame that the standard asks for, in modules.
const MARGIN: usize = 4;
const DARK: u8 = 0;
const LIGHT: u8 = 255;

/// A PNG that a phone reads as `text`, which has at most [`TEXT_BYTES_MAX`] bytes.
pub fn qr_code(text: &str) -> Vec<u8> {
    let code = QrCode::with_error_correction_level(text, ERROR_CORRECTION).expect("the text fits into a code");
    let modules = code.width();
    let side = (modules + 2 * MARGIN) * MODULE_PIXELS;
    let mut pixels = vec![LIGHT; side * side];
    let colors = code.to_colors();
    for (place, _) in colors.iter().enumerate().filter(|(_, color)| **color == Color::Dark) {
        let left = (place % modules + MARGIN) * MODULE_PIXELS;
        let top = (place / modules + MARGIN) * MODULE_PIXELS;
        for row in top..top + MODULE_PIXELS {
            pixels[row * side + left..][..MODULE_PIXELS].fill(DARK);
        }
    }
    let mut png = Vec::new();
    // A picture is made in each call, and as rows repeat it is small anyway.
    let encoder = PngEncoder::new_with_quality(&mut png, CompressionType::Fast, FilterType::Up);
    let side = u32::try_from(side).expect("a code has at most 177 modules");
    encoder.write_image(&pixels, side, side, ExtendedColorType::L8).expect("writing to memory can't fail");
    png
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(png: &[u8]) -> String {
        let picture = image::load_from_memory(png).unwrap().to_luma8();
        let (width, height) = picture.dimensions();
        let light = |x: usize, y: usize| picture.get_pixel(x as u32, y as u32).0[0];
        let mut prepared = rqrr::PreparedImage::prepare_from_greyscale(width as usize, height as usize, light);
        let codes = prepared.detect_grids();
        assert_eq!(codes.len(), 1);
        codes[0].decode().unwrap().1
    }

    #[test]
    fn a_reader_of_codes_reads_the_text() {
        for text in ["p", "pages/活动/首页?id=1&promoter_mark=0123456789abcdef", &"x".repeat(TEXT_BYTES_MAX)] {
            let png = qr_code(text);
            assert_eq!(read(&png), text);
            assert_eq!(png, qr_code(text), "the same text gives the same bytes");
        }
    }
}
