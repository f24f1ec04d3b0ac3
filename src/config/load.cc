#include "pgrecall/config/load.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <thread>

#include "config/parse.h"

namespace pgrecall::config {
namespace {

constexpr size_t kFileBytesMax = 4UL << 20;
constexpr uint32_t kWorkersAutomaticMax = 4;

uint32_t automatic_workers() {
  return std::clamp(std::thread::hardware_concurrency(), 1U, kWorkersAutomaticMax);
}

LoadResult finish(Loading loading, const Overrides& overrides) {
  apply_overrides(overrides, loading);
  validate(loading);
  if (loading.config.workers == 0) loading.config.workers = automatic_workers();
  std::stable_sort(loading.problems.begin(), loading.problems.end(),
                   [](const Problem& a, const Problem& b) { return a.line < b.line; });
  return {std::move(loading.config), std::move(loading.problems), true};
}

Result<std::string> read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return Error{fmt::format("cannot be opened: {}", std::strerror(errno)), ""};
  std::string text(kFileBytesMax + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (in.bad()) return Error{"cannot be read", ""};
  text.resize(static_cast<size_t>(in.gcount()));
  if (text.size() > kFileBytesMax)
    return Error{fmt::format("is larger than {} bytes", kFileBytesMax), ""};
  return text;
}

}  // namespace

std::string Problem::to_string() const {
  return line == 0 ? fmt::format("{}: {}", file, message)
                   : fmt::format("{}:{}: {}", file, line, message);
}

std::string LoadResult::message() const {
  std::string text;
  for (const Problem& problem : problems) text += problem.to_string() + "\n";
  return text;
}

LoadResult load_text(std::string_view text, const std::string& file, const Overrides& overrides) {
  Loading loading;
  loading.file = file;
  parse_toml(text, loading);
  return finish(std::move(loading), overrides);
}

LoadResult load_file(const std::string& path, const Overrides& overrides) {
  if (path.empty()) return load_text("", "defaults", overrides);
  const Result<std::string> text = read_file(path);
  if (!text.ok()) return {Config{}, {{path, 0, text.error().message}}, false};
  return load_text(*text, path, overrides);
}

}  // namespace pgrecall::config
