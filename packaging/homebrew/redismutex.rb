# For a tap, on Linux: redismutex does not run elsewhere.
class Redismutex < Formula
  desc "Mutex for processes on many machines, kept in Redis or Valkey"
  license "MIT"
  # RELEASE: url and sha256 of the source, and its homepage.
  head ENV.fetch("HOMEBREW_REDISMUTEX_REPOSITORY"), using: :git, branch: "main"

  depends_on "cli11" => :build
  depends_on "cmake" => :build
  depends_on "nlohmann-json" => :build
  depends_on "scdoc" => :build
  depends_on :linux
  depends_on "ncurses"
  depends_on "openssl@3"

  def install
    system "cmake", "-S", ".", "-B", "build", "-DBUILD_SHARED_LIBS=ON", *std_cmake_args
    system "cmake", "--build", "build"
    system "cmake", "--install", "build"
  end

  test do
    (testpath/"version.cpp").write <<~CPP
      #include <redismutex/redismutex.hpp>
      int main() { return redismutex::version() == REDISMUTEX_VERSION ? 0 : 1; }
    CPP
    system ENV.cxx, "-std=c++20", "version.cpp", "-DREDISMUTEX_SHARED", "-I#{include}", "-L#{lib}", "-lredismutex", "-o", "version"
    system "./version"
    assert_match version.to_s, shell_output("#{bin}/redismutex --version") unless head?
  end
end
