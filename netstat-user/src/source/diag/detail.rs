//! The attributes of a row (`linux/inet_diag.h`, Linux 6.12).

use super::wire::{ATTR_INFO, ATTR_SKMEMINFO, ATTR_SKV6ONLY, Attributes, ROW, array};
use crate::model::detail::{Bbr, SockDetail, TcpInfo};

const CONGESTION: u16 = 4;
const TOS: u16 = 5;
const TCLASS: u16 = 6;
const SHUTDOWN: u16 = 8;
const MARK: u16 = 15;
const BBRINFO: u16 = 16;
const CLASS_ID: u16 = 17;
const SOCKOPT: u16 = 22;

/// Bits of a request (`1 << (type - 1)`) for all that has to be asked for; what congestion control tells comes with
/// `INET_DIAG_VEGASINFO`. The rest comes by itself.
pub const EVERYTHING: u8 =
    bit(ATTR_INFO) | bit(3) | bit(CONGESTION) | bit(TOS) | bit(TCLASS) | bit(ATTR_SKMEMINFO) | bit(SHUTDOWN);

const fn bit(attribute: u16) -> u8 {
    1 << (attribute - 1)
}

/// Reads what the payload of a row has behind the row; a malformed attribute ends it.
pub fn detail(payload: &[u8]) -> SockDetail {
    let mut detail = SockDetail::default();
    for (kind, value) in Attributes(payload.get(ROW..).unwrap_or_default()).map_while(Result::ok) {
        let byte = value.first().copied();
        let word = |at| array("", value, at).map(u32::from_ne_bytes).ok();
        match kind {
            ATTR_INFO => detail.info = Some(TcpInfo(value.to_vec())),
            ATTR_SKMEMINFO => {
                detail.memory = value
                    .chunks_exact(4)
                    .filter_map(|word| Some(u32::from_ne_bytes(word.try_into().ok()?)))
                    .collect();
            }
            ATTR_SKV6ONLY => detail.v6only = byte.map(|only| only != 0),
            CONGESTION => {
                detail.congestion = value.split(|byte| *byte == 0).next().unwrap_or_default().to_vec()
            }
            TOS => detail.tos = byte,
            TCLASS => detail.tclass = byte,
            SHUTDOWN => detail.shutdown = byte,
            MARK => detail.mark = word(0),
            CLASS_ID => detail.class = word(0),
            SOCKOPT => detail.options = array("", value, 0).map(u16::from_le_bytes).ok(),
            BBRINFO => {
                detail.bbr = (|| {
                    let bandwidth = u64::from(word(0)?) | u64::from(word(4)?) << 32;
                    Some(Bbr { bandwidth, min_rtt: word(8)?, pacing_gain: word(12)?, cwnd_gain: word(16)? })
                })();
            }
            _ => {}
        }
    }
    detail
}
