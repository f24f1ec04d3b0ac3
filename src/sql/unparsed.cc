// Texts without a parse tree: in a newer grammar than ours, too long, too deep. Their tokens may
// prove that they only read, once everything they name was looked up: what a view, an operator, a
// cast or a domain runs stands in no text.
#include <algorithm>

#include "sql/grammar.h"
#include "sql/query_walker.h"
#include "sql/statement_rules.h"

namespace pgrecall::sql {
namespace {

using Place = TokenNames::Place;

/// Casts of users between built-in types are named by keywords (int, double precision), too.
bool code_casts_to_built_ins(const Catalog& catalog) {
  return catalog.code_converts_built_ins() ||
         std::any_of(catalog.casts.begin(), catalog.casts.end(), [&](const Cast& cast) {
           return cast.target < kFirstNormalOid && catalog.code_casts_to(cast.target);
         });
}

/// Judges what a text names. The facts end up opaque, or it writes and leaves nothing.
class TokenJudge {
 public:
  TokenJudge(const NameScope& names, Facts& facts)
      : names_(names), facts_(facts), expansion_(names.catalog()) {}

  void judge(const TokenNames& found) {
    if (code_casts_to_built_ins(names_.catalog())) facts_.make_opaque("a cast of users");
    for (const std::string& text : found.operators) {
      judge_code(names_.judge_operator({{}, {}, text}, facts_), "operator " + text);
    }
    for (const TokenNames::Name& name : found.names) {
      if (facts_.opaque) return;
      judge_name(name);
    }
  }

 private:
  void judge_code(const NameScope::Judged& judged, const std::string& what) {
    const bool fills =
        judged.function != nullptr && names_.catalog().has_domains() && fills_row(*judged.function);
    if (judged.verdict >= Verdict::kSetConfig || judged.result_converted_by_code || fills) {
      facts_.make_opaque(what);
    }
  }

  void judge_name(const TokenNames::Name& found) {
    if (found.place == Place::kClause) return judge_function(found.name, kAnyNumber);
    if (found.place == Place::kCalled) {
      judge_code(names_.judge_call({{}, found.qualifier, found.name}, kAnyNumber, facts_),
                 found.name + "()");
      return judge_type(found.name);  // f('x') is a cast if no function fits
    }
    // t.f means f(t) if t has no column f (xfunc: functional notation).
    if (found.place == Place::kSelected) judge_function(found.name, 1);
    read(found);
    judge_type(found.name);  // of a relation: a literal beside its row becomes one
    // The catalog does not know what is there.
    if (found.qualifier.starts_with("pg_temp")) facts_.make_opaque(found.qualifier);
  }

  /// A word that calls the function of its name if there is one.
  void judge_function(const std::string& name, int arguments) {
    if (names_.catalog().functions_named(name).empty()) return;
    const NameScope::Judged judged = names_.judge_call({{}, {}, name}, arguments, facts_);
    if (judged.function != nullptr) judge_code(judged, name + "()");
  }

  /// Whatever may be a relation is read; an unknown one may be a view that calls anything.
  void read(const TokenNames::Name& found) {
    if (found.place == Place::kSelected && found.qualifier.empty()) return;
    const FoundRelation relation = names_.find_relation({}, found.qualifier, found.name, facts_);
    if (relation.relation != nullptr && !relation.system) {
      QueryWalker(names_, facts_, expansion_).read(*relation.relation, true);
    } else if (found.place == Place::kRelation && !relation.system) {
      facts_.make_opaque(found.name);
    }
  }

  /// Wherever it stands: `x::t`, `t 'x'`, a column of a function's result, a field of a row.
  void judge_type(const std::string& name) {
    TypeFacts type;
    if (!names_.is_type_name(name, type)) return;
    const bool checks = !type.known || (type.is_domain && type.is_user);
    if (checks || type.cast_runs_code || type.converted_by_code) facts_.make_opaque(name);
  }

  static constexpr int kAnyNumber = -1;

  const NameScope& names_;
  Facts& facts_;
  Expansion expansion_;
};

}  // namespace

StatementAnalysis analyze_unparsed(const ParsedText& text, const NameScope* names) {
  StatementAnalysis out;
  Facts facts;
  if (!text.token_names) {
    facts.make_opaque(text.error);
  } else if (names == nullptr) {
    facts.make_opaque("no catalog");
  } else {
    TokenJudge(*names, facts).judge(*text.token_names);
  }
  if (facts.effect() != Effect::kNone || facts.session_effects != kSessionNothing) {
    set_opaque(out, facts.detail);
  } else {
    set_harmless(out, StatementKind::kUnparsed);
    out.detail = text.error;
    out.locks = facts.locks;  // of a view
  }
  out.kind = StatementKind::kUnparsed;
  out.reason = text.failure;
  out.literal_sensitive = true;
  out.length = text.text_length;
  return out;
}

}  // namespace pgrecall::sql
