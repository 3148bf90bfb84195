#include "net/reply_reader.hpp"

#include <new>

namespace redismutex::net {

ReplyReader::ReplyReader() : reader_{redisReaderCreate()} {
  if (!reader_) throw std::bad_alloc{};
  reader_->maxelements = max_elements;
}

void ReplyReader::feed(std::span<const char> bytes) {
  redisReaderFeed(reader_.get(), bytes.data(), bytes.size());
  unfinished_ += bytes.size();
}

Reply ReplyReader::next() {
  void* parsed = nullptr;
  if (redisReaderGetReply(reader_.get(), &parsed) != REDIS_OK || parsed == nullptr) return nullptr;
  unfinished_ = reader_->len - reader_->pos;
  return Reply{static_cast<redisReply*>(parsed)};
}

std::string ReplyReader::problem() const {
  if (reader_->err != 0) return std::string{"not the protocol of a Redis server: "} + reader_->errstr;
  if (unfinished_ <= max_size && reader_->ridx <= max_depth) return {};
  return "a reply of more than " + std::to_string(max_size) + " bytes, or more than " + std::to_string(max_depth) +
         " levels";
}

}  // namespace redismutex::net
