#pragma once

#include <exception>
#include <redismutex/errors.hpp>
#include <string>
#include <string_view>

namespace redismutex::cli {

/// Says what went wrong, and what helps if `advice` is not empty. Returns `status`, for the caller to end with.
int say_error(const std::exception& error, int status, std::string_view advice = {});

/// What helps against a server that is not reached, for people who may not know why it is this one: `url_source` as NamedUrls::source.
std::string advice_on_server(std::string_view url_source);

/// What helps against a login that is refused.
std::string advice_on_login(std::string_view url_source);

/// What helps against a right that is missing; empty: something else was refused.
std::string advice_on_rights(const ServerError& refusal);

}  // namespace redismutex::cli
