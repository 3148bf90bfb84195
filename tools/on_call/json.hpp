#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace redismutex::cli {

/// Stands first in each object that we print: it changes when a field changes its meaning or goes.
inline constexpr int json_schema = 1;

/// Bytes as JSON can have them: those that are no UTF-8 as "\xNN", in which a reader can not tell them from these four characters.
std::string json_text(std::string_view bytes);

/// Sets the field to json_text(), and `NAME_base64` beside it where that can not be read back.
void add_json_text(nlohmann::ordered_json& object, const std::string& name, std::string_view bytes);

}  // namespace redismutex::cli
