"""Dates; see date.pxd."""

from libc.stdint cimport int64_t
from libc.string cimport memcpy

cdef const char *DAYS = b"SunMonTueWedThuFriSat"
cdef const char *MONTHS = b"JanFebMarAprMayJunJulAugSepOctNovDec"


cdef inline void put_two(char *out, int64_t number) noexcept nogil:
    out[0] = <char> (c'0' + number // 10 % 10)
    out[1] = <char> (c'0' + number % 10)


cdef void write_date(char *out, int64_t seconds) noexcept nogil:
    """Civil date from days, by the 400-year cycle that starts on 1 March 0000: a leap day is the last of its year."""
    cdef int64_t days = seconds // 86400
    cdef int64_t of_day = seconds % 86400
    cdef int64_t since_0000 = days + 719468
    cdef int64_t era = since_0000 // 146097
    cdef int64_t of_era = since_0000 % 146097
    cdef int64_t years = (of_era - of_era // 1460 + of_era // 36524 - of_era // 146096) // 365
    cdef int64_t of_year = of_era - (365 * years + years // 4 - years // 100)
    cdef int64_t month = (5 * of_year + 2) // 153       # 0 is March
    cdef int64_t day = of_year - (153 * month + 2) // 5 + 1
    cdef int64_t year = era * 400 + years + (1 if month >= 10 else 0)
    month = month + 2 if month < 10 else month - 10     # 0 is January
    memcpy(out, b"Xxx, 00 Xxx 0000 00:00:00 GMT", 29)
    memcpy(out, DAYS + (days + 4) % 7 * 3, 3)
    put_two(out + 5, day)
    memcpy(out + 8, MONTHS + month * 3, 3)
    put_two(out + 12, year // 100)
    put_two(out + 14, year % 100)
    put_two(out + 17, of_day // 3600)
    put_two(out + 20, of_day // 60 % 60)
    put_two(out + 23, of_day % 60)
