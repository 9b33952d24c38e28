//! Places on the earth: a latitude and a longitude, kept to a hundred-millionth of a right angle or so, about 1 cm.
//!
//! A place is one whole number, the latitude in its upper half, so that an index over it finds a band of latitudes.
use std::f64::consts::PI;

/// Parts of one degree that are told apart.
pub const PARTS: f64 = 1e7;
/// What is added to a latitude, so that none is negative.
pub const LATITUDE_OFFSET: i64 = 900_000_000;
/// The same for longitudes.
pub const LONGITUDE_OFFSET: i64 = 1_800_000_000;
/// Mean radius of the earth in metres (IUGG).
const RADIUS: f64 = 6_371_008.8;

/// A place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    latitude: i64,
    longitude: i64,
}

impl Place {
    /// The place at these degrees; nothing if there is none.
    pub fn at(latitude: f64, longitude: f64) -> Option<Self> {
        let is_there = (-90.0..=90.0).contains(&latitude) && (-180.0..=180.0).contains(&longitude);
        #[expect(clippy::cast_possible_truncation, reason = "whole, and as small as just looked at")]
        is_there.then(|| Self {
            latitude: (latitude * PARTS).round() as i64,
            longitude: (longitude * PARTS).round() as i64,
        })
    }

    /// As one number.
    pub fn packed(self) -> i64 {
        ((self.latitude + LATITUDE_OFFSET) << 32) | (self.longitude + LONGITUDE_OFFSET)
    }

    pub fn unpacked(number: i64) -> Self {
        let (upper, lower) = (number >> 32, number & 0xffff_ffff);
        Self { latitude: upper - LATITUDE_OFFSET, longitude: lower - LONGITUDE_OFFSET }
    }

    /// In degrees.
    pub fn latitude(self) -> f64 {
        self.latitude as f64 / PARTS
    }

    pub fn longitude(self) -> f64 {
        self.longitude as f64 / PARTS
    }

    /// Metres between two places along the surface of a round earth (haversine); 0 for the same place.
    pub fn distance(self, other: Self) -> f64 {
        let half = |from: i64, to: i64| ((to - from) as f64 / PARTS * PI / 180.0 / 2.0).sin();
        let (up, along) = (half(self.latitude, other.latitude), half(self.longitude, other.longitude));
        let cosines = (self.latitude() * PI / 180.0).cos() * (other.latitude() * PI / 180.0).cos();
        2.0 * RADIUS * (up * up + cosines * along * along).sqrt().min(1.0).asin()
    }

    /// The least and the greatest number of the places within so many metres: those of a band of latitudes.
    pub fn band(self, metres: f64) -> (i64, i64) {
        // A little more than there is, for what rounding takes.
        let parts = metres.max(0.0) / RADIUS * 180.0 / PI * PARTS + 2.0;
        #[expect(clippy::cast_possible_truncation, reason = "a number that is too large is cut off at the pole")]
        let parts = parts.min(2.0 * LATITUDE_OFFSET as f64) as i64;
        let least = (self.latitude - parts).max(-LATITUDE_OFFSET) + LATITUDE_OFFSET;
        let greatest = (self.latitude + parts).min(LATITUDE_OFFSET) + LATITUDE_OFFSET;
        (least << 32, (greatest << 32) | 0xffff_ffff)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(latitude: f64, longitude: f64) -> Place {
        Place::at(latitude, longitude).expect("a place")
    }

    #[test]
    fn a_place_comes_back_as_it_was() {
        for (latitude, longitude) in
            [(0.0, 0.0), (-90.0, -180.0), (90.0, 180.0), (52.520_008, 13.404_954), (-0.1, -0.2)]
        {
            let back = Place::unpacked(place(latitude, longitude).packed());
            assert_eq!((back.latitude(), back.longitude()), (latitude, longitude));
        }
        for (latitude, longitude) in [(90.1, 0.0), (0.0, -180.1), (f64::NAN, 0.0), (0.0, f64::INFINITY)] {
            assert_eq!(Place::at(latitude, longitude), None);
        }
    }

    #[test]
    fn distances_are_those_of_the_earth() {
        let (berlin, paris) = (place(52.520_008, 13.404_954), place(48.856_613, 2.352_222));
        assert!((berlin.distance(paris) - 877_463.0).abs() < 1_000.0, "{}", berlin.distance(paris));
        assert_eq!(berlin.distance(berlin), 0.0);
        assert!((place(0.0, 179.9).distance(place(0.0, -179.9)) - 22_239.0).abs() < 10.0, "across the date line");
        assert!((place(90.0, 0.0).distance(place(-90.0, 90.0)) - PI * RADIUS).abs() < 1.0, "from pole to pole");
    }

    #[test]
    fn nothing_within_reach_lies_outside_the_band() {
        let here = place(52.5, 13.4);
        for metres in [0.0, 0.01, 1.0, 1_000.0, 1e6, 1e9, f64::INFINITY] {
            let (least, greatest) = here.band(metres);
            for there in [here, place(52.500_001, 13.4), place(52.51, -170.0), place(-90.0, 0.0), place(90.0, 180.0)] {
                let is_in_band = (least..=greatest).contains(&there.packed());
                assert!(is_in_band || metres < here.distance(there), "{metres} {there:?}");
            }
        }
    }
}
