// A PostgreSQL server of a test's own: made by initdb in a temporary folder, gone with the object.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace pgrecall::support {

/// Listens on a free port of 127.0.0.1 and on a unix socket in its folder; superuser `postgres`,
/// trust authentication, fsync off. Owned by a test or a test suite; it stops its server by pid.
class TestPostgres {
 public:
  /// `settings` are lines of postgresql.conf, for example "wal_level = logical".
  explicit TestPostgres(const std::vector<std::string>& settings = {}) {
    bin_ = newest_bin();
    if (bin_.empty()) {
      fail("no /usr/lib/postgresql/*/bin/initdb");
      return;
    }
    std::string pattern = std::filesystem::temp_directory_path() / "pgrecall-test-XXXXXX";
    if (::mkdtemp(pattern.data()) == nullptr) {
      fail("mkdtemp " + pattern);
      return;
    }
    folder_ = pattern;
    if (::geteuid() == 0 && !run("chown postgres " + folder_)) return;
    if (!run(as_postgres() + bin_ + "/initdb -D " + data() +
             " -A trust -U postgres -E UTF8 --locale=C.UTF-8 --no-sync"))
      return;
    // Another process may take the port between its choice and its use.
    for (int attempt = 0; attempt < 5 && pid_ == 0; ++attempt) start(settings);
  }

  ~TestPostgres() {
    stop();
    if (!folder_.empty()) std::filesystem::remove_all(folder_);
  }
  TestPostgres(const TestPostgres&) = delete;
  TestPostgres& operator=(const TestPostgres&) = delete;

  /// False if there is no server; `problem()` says why.
  bool running() const { return pid_ != 0; }
  const std::string& problem() const { return problem_; }
  uint16_t port() const { return port_; }
  const std::string& socket_folder() const { return folder_; }
  pid_t pid() const { return pid_; }
  const std::string& bin() const { return bin_; }

  /// Starts again after `stop`, on the same port.
  bool restart(const std::vector<std::string>& settings = {}) {
    stop();
    start(settings);
    return running();
  }

  /// Fast shutdown; `signal` SIGQUIT is an immediate one, SIGKILL a crash.
  void stop(int signal = SIGINT) {
    if (pid_ == 0) return;
    ::kill(pid_, signal);
    ::waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }

 private:
  /// PGRECALL_TEST_POSTGRES_BIN names the folder of another version's programs.
  static std::string newest_bin() {
    namespace fs = std::filesystem;
    if (const char* chosen = std::getenv("PGRECALL_TEST_POSTGRES_BIN")) return chosen;
    int newest = 0;
    std::error_code problem;
    for (const auto& entry : fs::directory_iterator("/usr/lib/postgresql", problem)) {
      const int version = std::atoi(entry.path().filename().c_str());
      if (fs::exists(entry.path() / "bin/initdb")) newest = std::max(newest, version);
    }
    return newest == 0 ? "" : "/usr/lib/postgresql/" + std::to_string(newest) + "/bin";
  }

  static uint16_t free_port() {
    const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof(address);
    uint16_t port = 0;
    if (::bind(listener, reinterpret_cast<sockaddr*>(&address), length) == 0 &&
        ::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length) == 0)
      port = ntohs(address.sin_port);
    ::close(listener);
    return port;
  }

  std::string data() const { return folder_ + "/data"; }
  static std::string as_postgres() {
    return ::geteuid() == 0 ? "runuser -u postgres -- env LC_ALL=C " : "env LC_ALL=C ";
  }

  void start(const std::vector<std::string>& settings) {
    if (!started_once_) port_ = free_port();
    std::ofstream config(data() + "/postgresql.conf", std::ios::app);
    config << "listen_addresses = '127.0.0.1'\nport = " << port_ << "\nunix_socket_directories = '"
           << folder_ << "'\nfsync = off\n"
           << "max_connections = 100\nshared_buffers = '16MB'\nlog_timezone = 'UTC'\n";
    for (const std::string& line : settings) config << line << "\n";
    config.close();
    std::filesystem::remove(data() + "/postmaster.pid");  // of a crash
    pid_ = spawn();
    if (pid_ > 0 && wait_until_ready()) {
      started_once_ = true;
      return;
    }
    stop();
    fail("the server did not start; its log is lost with " + folder_);
  }

  pid_t spawn() const {
    const std::string program = bin_ + "/postgres";
    const std::string folder = data();
    const std::string log = folder_ + "/log";
    const passwd* user = ::geteuid() == 0 ? ::getpwnam("postgres") : nullptr;
    const pid_t pid = ::fork();
    if (pid != 0) return pid;
    if (user != nullptr && (::setgid(user->pw_gid) != 0 || ::setuid(user->pw_uid) != 0)) ::_exit(1);
    ::prctl(PR_SET_PDEATHSIG, SIGQUIT);  // no server outlives a test that crashed
    const int output = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    ::dup2(output, 1);
    ::dup2(output, 2);
    ::setsid();
    ::execl(program.c_str(), program.c_str(), "-D", folder.c_str(), nullptr);
    ::_exit(1);
  }

  /// The last line of the pid file says "ready" once the server takes connections.
  bool wait_until_ready() const {
    for (;;) {
      std::ifstream file(data() + "/postmaster.pid");
      for (std::string line; std::getline(file, line);)
        if (line.starts_with("ready")) return true;
      siginfo_t info{};
      if (::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
          info.si_pid != 0)
        return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }

  bool run(const std::string& command) {
    const std::string output = folder_ + "/output";
    // From the folder: postgres may not read the caller's.
    const int status =
        std::system(("cd " + folder_ + " && " + command + " >" + output + " 2>&1").c_str());
    if (status == 0) return true;
    std::string text = command + " failed: ";
    std::ifstream file(output);
    for (std::string line; std::getline(file, line);) text += line + " ";
    fail(text);
    return false;
  }

  void fail(std::string problem) { problem_ = std::move(problem); }

  std::string bin_;
  std::string folder_;
  std::string problem_;
  uint16_t port_ = 0;
  pid_t pid_ = 0;
  bool started_once_ = false;
};

}  // namespace pgrecall::support
