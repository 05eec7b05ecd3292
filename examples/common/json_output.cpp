#include <common/json_output.hpp>

#include <nlohmann/json.hpp>

namespace programs {

namespace {

std::string printed(nlohmann::json const& value) {
  return value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

json_value::json_value(double value) : text_(printed(value)) {}
json_value::json_value(std::string const& value) : text_(printed(value)) {}

json_value json_object(std::initializer_list<json_field> fields) {
  json_value object;
  for (json_field const& field : fields) {
    object.text_ += object.text_.empty() ? "{\"" : ",\"";
    object.text_ += field.name;
    object.text_ += "\":" + field.value.text_;
  }
  object.text_ += '}';
  return object;
}

}  // namespace programs
