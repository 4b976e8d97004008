/* Makes the masks of the shared cases with sam_mm.hpp and writes their hashes. See ../c/hash_cases.c for the files. */

#include <sam_mm.hpp>

#include <cstdio>
#include <exception>
#include <fstream>
#include <iostream>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "../c/sha256.h"

namespace {

template <class T>
T read(std::istream &from) {
    T value{};
    if (!(from >> value)) throw std::runtime_error("the cases end too early");
    return value;
}

void expect(std::istream &from, const std::string &word) {
    if (read<std::string>(from) != word) throw std::runtime_error("the word " + word + " is wanted");
}

sam_mm::box read_box(std::istream &from) {
    sam_mm::box box;
    for (float *side : {&box.x0, &box.y0, &box.x1, &box.y1}) *side = read<float>(from);
    return box;
}

sam_mm::image read_image(const sam_mm::context &context, const std::string &path) {
    std::ifstream file(path, std::ios::binary);
    expect(file, "P6");
    const auto width = read<std::uint32_t>(file), height = read<std::uint32_t>(file);
    (void)read<int>(file);
    file.get();
    std::vector<std::uint8_t> rgb(std::size_t{width} * height * 3);
    if (!file.read(reinterpret_cast<char *>(rgb.data()), static_cast<std::streamsize>(rgb.size()))) {
        throw std::runtime_error("the picture is cut off");
    }
    return context.create_image({sam_mm::pixel_format::rgb8, width, height, rgb});
}

using results = std::map<std::string, sam_mm::result>;

sam_mm::prompt read_prompt(std::istream &cases, const results &before) {
    expect(cases, "prompt");
    sam_mm::prompt prompt;
    const auto num_points = read<unsigned>(cases);
    const bool has_box = read<unsigned>(cases) != 0;
    const auto mask_of = read<std::string>(cases);
    for (unsigned i = 0; i < num_points; ++i) {
        const auto x = read<float>(cases), y = read<float>(cases);
        prompt.add({x, y}, read<int>(cases) ? sam_mm::label::foreground : sam_mm::label::background);
    }
    if (has_box) prompt.bounded_by(read_box(cases));
    if (mask_of != "-") {
        const sam_mm::result &former = before.at(mask_of);
        prompt.refining(former.logits(former.best_mask()));
    }
    return prompt;
}

std::string hash(const sam_mm::result &result) {
    sha256 state;
    sha256_start(&state);
    for (std::uint32_t object = 0; object < result.describe().num_objects; ++object) {
        const auto mask = result.bitmask(result.best_mask(object));
        for (std::uint32_t y = 0; y < mask.height; ++y) sha256_add(&state, mask.row(y).data(), mask.width);
    }
    char hex[65];
    sha256_finish(&state, hex);
    return hex;
}

void run(const char *cases_path, const char *hashes_path) {
    std::ifstream cases(cases_path);
    std::ofstream hashes(hashes_path);
    std::string picture;
    expect(cases, "image");
    std::getline(cases >> std::ws, picture);

    sam_mm::options options;
    options.device = "cpu";
    options.num_threads = 1;
    const sam_mm::context context(options);
    const sam_mm::model model = context.load_model();
    const sam_mm::image image = read_image(context, picture);

    results answered;
    const char *separator = "{";
    for (std::string word; cases >> word;) {
        if (word != "case") throw std::runtime_error("a case is wanted");
        const auto name = read<std::string>(cases);
        sam_mm::predict_request request;
        request.multimask = read<unsigned>(cases) != 0;
        const auto num_prompts = read<unsigned>(cases), num_boxes = read<unsigned>(cases);
        for (unsigned i = 0; i < num_prompts; ++i) request.prompts.push_back(read_prompt(cases, answered));
        for (unsigned i = 0; i < num_boxes; ++i) request.boxes.push_back(read_box(cases));
        const auto &result = answered.emplace(name, model.predict(image, request)).first->second;
        hashes << separator << "\n  \"" << name << "\": \"" << hash(result) << '"';
        separator = ",";
    }
    hashes << "\n}\n";
    if (!hashes.flush()) throw std::runtime_error("the hashes cannot be written");
}

} // namespace

int main(int argc, char **argv) {
    try {
        if (argc != 3) throw std::runtime_error("usage: hash_cases CASES HASHES");
        run(argv[1], argv[2]);
        return 0;
    } catch (const std::exception &error) {
        std::cerr << "hash_cases: " << error.what() << '\n';
        return 1;
    }
}
