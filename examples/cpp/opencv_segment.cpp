// A picture of OpenCV becomes masks of OpenCV: opencv_segment IN OUT X,Y [X,Y ...] [--checkpoint FILE]
//
// Every point is an object. Compile it with
//     c++ -std=c++17 opencv_segment.cpp $(pkg-config --cflags --libs sam_mm opencv4)

#include <sam_mm.hpp>
#include <sam_mm/opencv.hpp>

#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

struct arguments {
    std::string in, out, checkpoint;
    std::vector<sam_mm::prompt> clicks;
};

arguments read_arguments(int argc, char **argv) {
    arguments read;
    std::vector<std::string> files;
    for (int i = 1; i < argc; ++i) {
        const std::string word = argv[i];
        float x = 0, y = 0;
        int end = 0;
        if (word == "--checkpoint" && i + 1 < argc) {
            read.checkpoint = argv[++i];
        } else if (std::sscanf(argv[i], "%f,%f%n", &x, &y, &end) == 2 && argv[i][end] == '\0') {
            read.clicks.push_back(sam_mm::prompt::click(x, y));
        } else {
            files.push_back(word);
        }
    }
    if (files.size() != 2 || read.clicks.empty()) {
        throw std::invalid_argument("usage: opencv_segment IN OUT X,Y [X,Y ...] [--checkpoint FILE]");
    }
    read.in = files[0];
    read.out = files[1];
    return read;
}

void run(const arguments &given) {
    const cv::Mat picture = cv::imread(given.in, cv::IMREAD_COLOR);
    if (picture.empty()) throw std::runtime_error(given.in + " is no picture that OpenCV can read");

    const sam_mm::context context;
    sam_mm::model_options options;
    options.path = given.checkpoint;
    const sam_mm::model model = context.load_model(options);
    // BGR, with the gaps between rows that a part of a larger matrix has: nothing is converted or copied on the way.
    const sam_mm::image image = context.create_image(sam_mm::opencv::view(picture));
    const sam_mm::result masks = model.predict(image, sam_mm::predict_request(given.clicks));

    cv::Mat shown = picture.clone();
    for (std::uint32_t object = 0; object < masks.describe().num_objects; ++object) {
        const std::uint32_t best = masks.best_mask(object);
        const cv::Mat mask = sam_mm::opencv::mask(masks, best); // CV_8UC1, 0 and 255
        const cv::Scalar color(object * 70 % 256, 255 - object * 50 % 256, 40 + object * 110 % 216);
        shown.setTo(color, mask);
        std::vector<std::vector<cv::Point>> contours;
        cv::findContours(mask, contours, cv::RETR_EXTERNAL, cv::CHAIN_APPROX_NONE);
        cv::drawContours(shown, contours, -1, cv::Scalar(255, 255, 255), 2);
        const sam_mm::mask_info info = masks.mask(best);
        std::cout << "object " << object + 1 << ": score " << info.score << ", " << info.area << " pixels, "
                  << cv::countNonZero(mask) << " of them in the matrix\n";
    }
    cv::addWeighted(shown, 0.5, picture, 0.5, 0, shown);
    if (!cv::imwrite(given.out, shown)) throw std::runtime_error(given.out + " cannot be written");
}

} // namespace

int main(int argc, char **argv) {
    try {
        run(read_arguments(argc, argv));
        return EXIT_SUCCESS;
    } catch (const std::exception &error) {
        std::cerr << "opencv_segment: " << error.what() << '\n';
        return EXIT_FAILURE;
    }
}
