/* Checks for the C++ programs among the tests: the first that fails names its line and ends the program with 1. */
#ifndef CHECK_HPP
#define CHECK_HPP

#include <sam_mm.hpp>

#include <cstdio>
#include <cstdlib>
#include <string>

inline void check(bool condition, const char *file, int line, const char *text, const std::string &more = {}) {
    if (condition) return;
    std::fprintf(stderr, "%s:%d: %s%s%s\n", file, line, text, more.empty() ? "" : ": ", more.c_str());
    std::exit(1);
}
#define CHECK(...) check((__VA_ARGS__), __FILE__, __LINE__, #__VA_ARGS__)

/* The call fails with this status and a message that holds this text. */
template <class T>
void check_failure(const sam_mm::expected<T> &outcome, sam_mm::status code, const char *words, int line,
                   const char *text) {
    check(!outcome, __FILE__, line, text, "it succeeded");
    if (outcome) return;
    const std::string said = outcome.error().what();
    check(outcome.code() == code && outcome.error().code() == code, __FILE__, line, text, said);
    check(said.find(words) != std::string::npos, __FILE__, line, text, said);
}
#define FAILS(call, code, words) check_failure((call), (code), (words), __LINE__, #call)

/* The value of a call that must succeed. */
template <class T>
T must(sam_mm::expected<T> outcome, int line) {
    check(outcome.has_value(), __FILE__, line, "a call failed", outcome ? std::string() : outcome.error().what());
    return *std::move(outcome);
}
inline void must(const sam_mm::expected<void> &outcome, int line) {
    check(outcome.has_value(), __FILE__, line, "a call failed", outcome ? std::string() : outcome.error().what());
}
#define OK(call) must((call), __LINE__)

#endif
