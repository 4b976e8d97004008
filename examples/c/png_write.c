#include "png_write.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A file with the checksum of the chunk being written. */
typedef struct {
    FILE *file;
    uint32_t crc;
} writer;

static void put_bytes(writer *out, const uint8_t *bytes, size_t count) {
    for (size_t i = 0; i < count; i++) {
        out->crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++) {
            out->crc = (out->crc >> 1) ^ (out->crc & 1 ? UINT32_C(0xEDB88320) : 0);
        }
    }
    fwrite(bytes, 1, count, out->file);
}

static void put_u32(writer *out, uint32_t value) {
    const uint8_t bytes[4] = {(uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8), (uint8_t)value};
    put_bytes(out, bytes, 4);
}

static void begin_chunk(writer *out, const char *type, uint32_t length) {
    put_u32(out, length);
    out->crc = UINT32_C(0xFFFFFFFF); /* of type and data, not of the length */
    put_bytes(out, (const uint8_t *)type, 4);
}

static void end_chunk(writer *out) {
    put_u32(out, ~out->crc);
}

/* Adds bytes to the checksum of a zlib stream. */
static uint32_t adler32(uint32_t sum, const uint8_t *bytes, size_t count) {
    uint32_t a = sum & 0xFFFF, b = sum >> 16;
    for (size_t i = 0; i < count; i++) {
        a = (a + bytes[i]) % 65521;
        b = (b + a) % 65521;
    }
    return b << 16 | a;
}

/* A chunk for each row, which holds it in stored blocks of deflate; a block takes up to 65535 bytes, so a long row needs
 * several. */
static void put_row(writer *out, const uint8_t *row, size_t length, int is_first, int is_last, uint32_t *sum) {
    static const uint8_t zlib_header[2] = {0x78, 0x01};
    const size_t largest = 65535, blocks = (length + largest - 1) / largest;
    begin_chunk(out, "IDAT", (uint32_t)(length + 5 * blocks + (is_first ? 2 : 0) + (is_last ? 4 : 0)));
    if (is_first) put_bytes(out, zlib_header, sizeof zlib_header);
    for (size_t done = 0; done < length;) {
        const size_t part = length - done < largest ? length - done : largest;
        const uint8_t header[5] = {is_last && done + part == length, (uint8_t)part, (uint8_t)(part >> 8),
                                   (uint8_t)~part, (uint8_t)(~part >> 8)};
        put_bytes(out, header, sizeof header);
        put_bytes(out, row + done, part);
        done += part;
    }
    *sum = adler32(*sum, row, length);
    if (is_last) put_u32(out, *sum);
    end_chunk(out);
}

static void put_image(writer *out, const uint8_t *rgb, uint32_t width, uint32_t height, uint8_t *row) {
    static const uint8_t signature[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'};
    static const uint8_t eight_bit_rgb[5] = {8, 2, 0, 0, 0};
    const size_t row_bytes = (size_t)width * 3;
    uint32_t sum = 1;
    put_bytes(out, signature, sizeof signature);
    begin_chunk(out, "IHDR", 13);
    put_u32(out, width);
    put_u32(out, height);
    put_bytes(out, eight_bit_rgb, sizeof eight_bit_rgb);
    end_chunk(out);
    for (uint32_t y = 0; y < height; y++) {
        row[0] = 0; /* no filter */
        memcpy(row + 1, rgb + y * row_bytes, row_bytes);
        put_row(out, row, row_bytes + 1, y == 0, y + 1 == height, &sum);
    }
    begin_chunk(out, "IEND", 0);
    end_chunk(out);
}

int png_write_rgb(const char *path, const uint8_t *rgb, uint32_t width, uint32_t height) {
    uint8_t *row = malloc((size_t)width * 3 + 1);
    writer out = {row ? fopen(path, "wb") : NULL, 0};
    int written = 0;
    if (out.file) {
        put_image(&out, rgb, width, height, row);
        written = !ferror(out.file);
        written = fclose(out.file) == 0 && written;
    }
    free(row);
    return written;
}
