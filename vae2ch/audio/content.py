"""What a file holds, by its suffix and by its first bytes."""

HEAD_BYTES = 32
STREAM_BYTES = 8192  # that hold the first frame of MP3 or AAC, and the head of the next one

# of containers and codecs that libsndfile or FFmpeg reads; files of other suffixes are judged by their first bytes
SOUND_SUFFIXES = {
    ".8svx", ".aa3", ".aac", ".ac3", ".adts", ".aif", ".aifc", ".aiff", ".alac", ".amr", ".ape", ".au", ".avi",
    ".avr", ".bwf", ".caf", ".dff", ".dsf", ".dts", ".eac3", ".flac", ".flv", ".htk", ".iff", ".ircam", ".m2ts",
    ".m4a", ".m4b", ".m4r", ".m4v", ".mat", ".mka", ".mkv", ".mov", ".mp1", ".mp2", ".mp3", ".mp4", ".mpc", ".mpeg",
    ".mpg", ".mpga", ".mts", ".nist", ".oga", ".ogg", ".ogv", ".oma", ".opus", ".paf", ".pvf", ".qoa", ".ra", ".rf64",
    ".rm", ".sd2", ".sds", ".sf", ".snd", ".spx", ".sph", ".svx", ".tak", ".tta", ".voc", ".w64", ".wav", ".wave",
    ".weba", ".webm", ".wma", ".wmv", ".wv", ".wve", ".xi", ".3gp", ".3g2",
}  # fmt: skip
UNFINISHED_SUFFIXES = {
    ".part", ".partial", ".filepart", ".crdownload", ".opdownload", ".download", ".tmp", ".temp", ".ffs_tmp", ".gstmp",
    ".!qb", ".!ut", ".bc!", ".aria2",
}  # fmt: skip
HEADERLESS_SUFFIXES = {".raw", ".pcm", ".sw", ".vox", ".gsm", ".g722", ".g726", ".g729", ".ulaw", ".alaw", ".sln"}

# position and bytes
SOUND_SIGNATURES = (
    (8, b"WAVE"),
    (0, b"RF64"),
    (0, b"BW64"),
    (0, b"riff.\x91\xcf\x11"),  # Wave64
    (0, b"fLaC"),
    (0, b"OggS"),
    (0, b"ID3"),
    (8, b"AIFF"),
    (8, b"AIFC"),
    (8, b"8SVX"),
    (8, b"16SV"),
    (0, b"caff"),
    (0, b".snd"),
    (0, b"dns."),
    (0, b"Creative Voice"),
    (0, b"NIST_1A"),
    (0, b" paf"),
    (0, b"fap "),
    (0, b"PVF1"),
    (0, b"2BIT"),
    (0, b"\x64\xa3\x01\x00"),  # IRCAM, of three machines
    (0, b"\x64\xa3\x02\x00"),
    (0, b"\x64\xa3\x03\x00"),
    (0, b"ALawSoundFile"),  # WVE
    (0, b"Extended Instrum"),  # XI
    (4, b"ftyp"),  # MP4
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"),  # ASF: WMA
    (0, b"\x1a\x45\xdf\xa3"),  # Matroska, WebM
    (0, b"wvpk"),
    (0, b"MAC "),
    (0, b"TTA1"),
    (0, b"tBaK"),
    (0, b"MPCK"),
    (0, b"DSD "),
    (0, b"#!AMR"),
    (0, b"qoaf"),
)
OTHER_SIGNATURES = {
    b"<": "it is a web page or XML; download the sound again",
    b"PK\x03\x04": "it is a ZIP archive; unpack it",
    b"PK\x05\x06": "it is a ZIP archive; unpack it",
    b"Rar!": "it is a RAR archive; unpack it",
    b"7z\xbc\xaf": "it is a 7-Zip archive; unpack it",
    b"\x1f\x8b": "it is a gzip archive; unpack it",
    b"\x00\x05\x16\x07": "it is the metadata of a Mac file, without the sound; copy the sound again",
    b"version https://": "it is a Git LFS pointer, and the sound was not downloaded; run git lfs pull",
    b"%PDF": "it is a PDF document",
    b"\x89PNG": "it is an image",
    b"\xff\xd8\xff": "it is an image",
    b"GIF8": "it is an image",
    b"MThd": "it is MIDI, which has notes and no sound",
    b"{": "it is JSON",
}


CHUNKED = (b"RIFF", b"FORM")
MP3_RATES = (44_100, 48_000, 32_000)  # Hz
MP3_KBPS = (  # of MPEG 2 and 2.5, and of MPEG 1; 0 is not read
    (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0),
    (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0),
)
WIDE_TEXT = b"\xff\xfe"
SILENT_DECODERS = (b"fLaC", b"OggS", b"FORM", b"caff")  # of files that begin so
PLAIN_FORMATS = (1, 3, 0xFFFE)  # tags of WAV: PCM, float, extensible; others may hold MP3
STANDARD_OUTPUT, STANDARD_ERROR = 1, 2  # descriptors
DUMP_HEADER = b"\xf0\x7e"  # MIDI Sample Dump Standard


def decoder_prints(head: bytes) -> tuple[int, ...]:
    """Descriptors to which the decoder of a file may print, by the first bytes of the file."""
    is_plain_wav = head[8:16] == b"WAVEfmt " and int.from_bytes(head[20:22], "little") in PLAIN_FORMATS
    if is_plain_wav or head.startswith(SILENT_DECODERS):
        return ()
    return (STANDARD_OUTPUT, STANDARD_ERROR) if head.startswith(DUMP_HEADER) else (STANDARD_ERROR,)


def is_sound(head: bytes) -> bool:
    """Whether the first ``HEAD_BYTES`` of a file are those of a format that is read."""
    return any(head[start : start + len(mark)] == mark for start, mark in SOUND_SIGNATURES)


def is_stream(start: bytes) -> bool:
    """Whether the first ``STREAM_BYTES`` of a file begin two frames of MP3 or AAC (ADTS), which have no signature."""
    size = frame_size(start[:6])
    return size > 0 and start[size : size + 2] == start[:2]


def frame_size(head: bytes) -> int:
    """Bytes of the frame of MP3 or AAC (ADTS) that begins with ``head`` [6]; 0 if it is neither."""
    if len(head) < 6 or head[0] != 0xFF:
        return 0
    if head[1] & 0xF6 == 0xF0:
        return (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    version, rate, kbps = head[1] >> 3 & 3, head[2] >> 2 & 3, MP3_KBPS[head[1] >> 3 & 1][head[2] >> 4]
    if head[1] & 0xE6 != 0xE2 or version == 1 or rate == 3:
        return 0
    shift = {3: 0, 2: 1, 0: 2}[version]  # MPEG 1, 2 and 2.5
    per_frame = 144_000 if version == 3 else 72_000
    return per_frame * kbps // (MP3_RATES[rate] >> shift) + (head[2] >> 1 & 1) if kbps else 0


def describe(head: bytes) -> str:
    """What a file that does not decode is, by its first bytes; "" if they do not tell."""
    if not head.strip(b"\0"):
        return "it begins with zeros, as an interrupted copy does; copy it again"
    if head[4:8] == b"ftyp":
        return "it is a damaged or protected MP4 file; open it with the program that made it, and export WAV or FLAC"
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    for mark, kind in OTHER_SIGNATURES.items():
        if head.startswith(mark) or text.startswith(mark):
            return kind
    return "it is text, not a sound" if is_text(head) and not is_sound(head) and head[:4] not in CHUNKED else ""


def is_text(head: bytes) -> bool:
    """Whether the first bytes of a file are text in UTF-8, or in UTF-16 with Latin letters."""
    odd, even = head[1::2], head[::2]
    is_wide = 0 in head and (not any(odd[1:]) or not any(even[1:]))
    try:
        text = head.decode(("utf-16-be" if any(odd[1:]) else "utf-16-le") if is_wide else "utf-8", "strict")
    except UnicodeDecodeError as error:
        text = head[: error.start].decode() if not is_wide and error.start > HEAD_BYTES - 4 else "\0"  # cut letter
    return all(letter.isprintable() or letter in "\t\r\n\ufeff" for letter in text)


def is_wide_text(head: bytes) -> bool:
    """Whether a file is text whose byte order mark decoders may take for the beginning of an MPEG frame."""
    return head.startswith(WIDE_TEXT) and is_text(head)
