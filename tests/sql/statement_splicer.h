// Variations of the statements of statements.txt, always the same ones.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "sql/statement_cases.h"

namespace pgrecall::sql::testing {

/// The texts of the table with a word or two replaced by those of others.
class Splicer {
 public:
  explicit Splicer(uint32_t seed) : state_(seed) {
    for (const StatementCase& test : read_statement_cases()) {
      texts_.emplace_back();
      std::string word;
      for (const char c : test.sql + " ") {
        const bool single = c == ' ' || c == '(' || c == ')' || c == ',' || c == '.';
        if (single && !word.empty()) add(std::exchange(word, {}));
        if (single) {
          texts_.back().push_back(std::string(1, c));
        } else {
          word += c;
        }
      }
    }
  }

  std::string next() {
    std::vector<std::string> text = texts_[random() % texts_.size()];
    for (uint32_t count = 1 + random() % 2; count > 0; --count) {
      std::string& word = text[random() % text.size()];
      if (word.size() > 1) word = words_[random() % words_.size()];
    }
    std::string joined;
    for (const std::string& word : text) joined += word;
    return joined;
  }

 private:
  void add(std::string word) {
    words_.push_back(word);
    texts_.back().push_back(std::move(word));
  }
  uint32_t random() {
    state_ = state_ * 1664525U + 1013904223U;
    return state_ >> 8;
  }

  std::vector<std::vector<std::string>> texts_;
  std::vector<std::string> words_;
  uint32_t state_;
};

}  // namespace pgrecall::sql::testing
