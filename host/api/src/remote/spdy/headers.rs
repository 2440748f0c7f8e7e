//! Header blocks: length-prefixed pairs, compressed with zlib and a dictionary that both sides know (SPDY/3.1,
//! section 2.6.10). The compressors' state spans all blocks of a connection.

use bytes::{Buf, BufMut, Bytes};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};

use super::frame::Error;

/// Names and values.
pub(super) type Headers = Vec<(String, String)>;

/// Header blocks larger than this, unpacked, are refused.
const LIMIT: usize = 64 << 10;

/// Unpacks the blocks of one direction.
pub(super) struct Unpacker {
    zlib: Decompress,
    primed: bool,
}

impl Default for Unpacker {
    fn default() -> Self {
        Self { zlib: Decompress::new(true), primed: false }
    }
}

impl Unpacker {
    pub(super) fn unpack(&mut self, block: &[u8]) -> Result<Headers, Error> {
        let mut out = Vec::with_capacity(1024);
        let mut rest = block;
        loop {
            let before = self.zlib.total_in();
            match self.zlib.decompress_vec(rest, &mut out, FlushDecompress::Sync) {
                Ok(_) => {}
                Err(e) if e.needs_dictionary().is_some() && !self.primed => {
                    self.zlib.set_dictionary(&dictionary()).map_err(|_| Error::Malformed)?;
                    self.primed = true;
                    rest = rest.get((self.zlib.total_in() - before) as usize..).unwrap_or_default();
                    continue;
                }
                Err(_) => return Err(Error::Malformed),
            }
            rest = rest.get((self.zlib.total_in() - before) as usize..).unwrap_or_default();
            // Room left over means that there is nothing more to come out.
            if out.len() < out.capacity() {
                break;
            }
            if out.len() >= LIMIT {
                return Err(Error::Malformed);
            }
            out.reserve(out.len());
        }
        if rest.is_empty() { parse(out.into()) } else { Err(Error::Malformed) }
    }
}

/// Packs the blocks of one direction.
pub(super) struct Packer {
    zlib: Compress,
    primed: bool,
}

impl Default for Packer {
    fn default() -> Self {
        Self { zlib: Compress::new(Compression::fast(), true), primed: false }
    }
}

impl Packer {
    pub(super) fn pack(&mut self, headers: &[(String, String)]) -> Result<Vec<u8>, Error> {
        if !self.primed {
            self.zlib.set_dictionary(&dictionary()).map_err(|_| Error::Malformed)?;
            self.primed = true;
        }
        let mut plain = Vec::new();
        plain.put_u32(headers.len() as u32);
        for text in headers.iter().flat_map(|(name, value)| [name, value]) {
            plain.put_u32(text.len() as u32);
            plain.extend_from_slice(text.as_bytes());
        }
        // Enough for what does not compress at all, so that one call always suffices.
        let mut out = Vec::with_capacity(plain.len() + 128);
        self.zlib.compress_vec(&plain, &mut out, FlushCompress::Sync).map_err(|_| Error::Malformed)?;
        Ok(out)
    }
}

fn parse(mut block: Bytes) -> Result<Headers, Error> {
    let count = block.try_get_u32().map_err(|_| Error::Malformed)?;
    let mut headers = Headers::new();
    for _ in 0..count {
        headers.push((text(&mut block)?, text(&mut block)?));
    }
    Ok(headers)
}

fn text(block: &mut Bytes) -> Result<String, Error> {
    let length = block.try_get_u32().map_err(|_| Error::Malformed)? as usize;
    if length > block.len() {
        return Err(Error::Malformed);
    }
    String::from_utf8(block.split_to(length).into()).map_err(|_| Error::Malformed)
}

/// The dictionary of SPDY/3: header names with their lengths, then common values run together.
fn dictionary() -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1423);
    for name in NAMES.split(',') {
        bytes.put_u32(name.len() as u32);
        bytes.extend_from_slice(name.as_bytes());
    }
    bytes.extend_from_slice(VALUES.as_bytes());
    bytes
}

const NAMES: &str = "options,head,post,put,delete,trace,accept,accept-charset,accept-encoding,accept-language,\
    accept-ranges,age,allow,authorization,cache-control,connection,content-base,content-encoding,content-language,\
    content-length,content-location,content-md5,content-range,content-type,date,etag,expect,expires,from,host,\
    if-match,if-modified-since,if-none-match,if-range,if-unmodified-since,last-modified,location,max-forwards,pragma,\
    proxy-authenticate,proxy-authorization,range,referer,retry-after,server,te,trailer,transfer-encoding,upgrade,\
    user-agent,vary,via,warning,www-authenticate,method,get,status,200 OK,version,HTTP/1.1,url,public,set-cookie,\
    keep-alive,origin";

const VALUES: &str = "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505\
    203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized\
    403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable\
    Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT\
    chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,\
    text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0.";

#[cfg(test)]
mod tests {
    use super::*;

    /// zlib puts the dictionary's Adler-32 behind its header: every SPDY/3 connection begins with these bytes.
    #[test]
    fn the_dictionary_is_the_one_everybody_uses() {
        assert_eq!(dictionary().len(), 1423);
        let block = Packer::default().pack(&[]).unwrap();
        assert_eq!(block[2..6], [0xe3, 0xc6, 0xa7, 0xc2]);
    }

    #[test]
    fn blocks_follow_each_other() {
        let (mut packer, mut unpacker) = (Packer::default(), Unpacker::default());
        for n in 0..20 {
            let headers =
                vec![("streamtype".to_owned(), format!("stdin{n}")), ("x".repeat(n * 50), "y".repeat(n * 70))];
            let block = packer.pack(&headers).unwrap();
            assert_eq!(unpacker.unpack(&block).unwrap(), headers);
        }
    }

    #[test]
    fn a_bomb_is_refused() {
        let mut packer = Packer::default();
        let block = packer.pack(&[("a".to_owned(), "b".repeat(10 * LIMIT))]).unwrap();
        assert!(Unpacker::default().unpack(&block).is_err());
    }
}
