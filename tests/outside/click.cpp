/* The same as click.c with sam_mm.hpp. */

#include <sam_mm.hpp>

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <vector>

int main(int argc, char **argv) {
    if (argc != 4) return EXIT_FAILURE;
    std::ifstream file(argv[1], std::ios::binary);
    std::string magic;
    std::uint32_t width = 0, height = 0, maximum = 0;
    file >> magic >> width >> height >> maximum;
    file.get();
    std::vector<std::uint8_t> rgb(std::size_t{width} * height * 3);
    if (!file.read(reinterpret_cast<char *>(rgb.data()), static_cast<std::streamsize>(rgb.size()))) {
        return EXIT_FAILURE;
    }
    try {
        const sam_mm::context context;
        const auto model = context.load_model();
        const auto image = context.create_image({sam_mm::pixel_format::rgb8, width, height, rgb});
        const float x = std::strtof(argv[2], nullptr), y = std::strtof(argv[3], nullptr);
        const auto masks = model.predict(image, sam_mm::prompt::click(x, y));
        const auto best = masks.best_mask();
        const bool inside
            = masks.bitmask(best).contains(static_cast<std::uint32_t>(x), static_cast<std::uint32_t>(y));
        std::cout << masks.mask(best).area << " pixels, score " << masks.mask(best).score << ", the click is "
                  << (inside ? "inside" : "outside") << '\n';
        return inside ? EXIT_SUCCESS : EXIT_FAILURE;
    } catch (const sam_mm::error &error) {
        std::cerr << error.what() << '\n';
        return EXIT_FAILURE;
    }
}
