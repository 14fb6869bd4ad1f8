# Runs in a guest: one attempt a line of standard input, all at once; one answer a line, in the same order.
#   tcp ADDRESS PORT TIMEOUT WANTED CHUNKS   connects, sends chunks (hex, with commas), reads WANTED bytes or to the end
#   udp ADDRESS PORT TIMEOUT DATA            sends one datagram, waits for one
#   ping ADDRESS TIMEOUT                     an echo request
#   frames DATA                              frames as they are (hex, with commas), to the first interface
#   sniff                                    prints each frame that comes, without end
# An answer: what happened (connected, answered, sent, timeout, or the name of an error), how it ended, bytes in hex.
use strict;
use warnings;
use Socket qw(:all);
use Errno;
use Fcntl;

$| = 1;
$SIG{PIPE} = "IGNORE";

sub failure {
    my ($name) = grep { $!{$_} }
        qw(ECONNREFUSED ECONNRESET EHOSTUNREACH ENETUNREACH EACCES EPERM ETIMEDOUT EPIPE EINVAL EADDRNOTAVAIL EMSGSIZE);
    return $name // "errno" . ($! + 0);
}

sub place {
    my ($address, $port) = @_;
    my $six = $address =~ /:/;
    if ($address =~ s/%(.+)$//) {
        return (AF_INET6, pack_sockaddr_in6($port, inet_pton(AF_INET6, $address), interface_index(), 0));
    }
    return (AF_INET6, pack_sockaddr_in6($port, inet_pton(AF_INET6, $address))) if $six;
    return (AF_INET, pack_sockaddr_in($port, inet_aton($address)));
}

sub interface_name {
    opendir(my $directory, "/sys/class/net") or die;
    my ($name) = sort grep { !/^\.|^lo$|^sit|^ip6|^tunl|^dummy/ } readdir $directory;
    return $name // die "there is no interface\n";
}

sub interface_index {
    open(my $file, "<", "/sys/class/net/" . interface_name() . "/ifindex") or die;
    return 0 + <$file>;
}

sub ready {
    my ($socket, $seconds, $writing) = @_;
    my $bits = "";
    vec($bits, fileno($socket), 1) = 1;
    my ($reads, $writes) = $writing ? (undef, $bits) : ($bits, undef);
    return select($reads, $writes, undef, $seconds) > 0;
}

sub tcp {
    my ($address, $port, $timeout, $wanted, $chunks) = @_;
    my ($family, $to) = place($address, $port);
    socket(my $socket, $family, SOCK_STREAM, 0) or return failure();
    setsockopt($socket, IPPROTO_TCP, TCP_NODELAY, 1);
    fcntl($socket, F_SETFL, O_NONBLOCK);
    if (!connect($socket, $to)) {
        return failure() unless $!{EINPROGRESS};
        return "timeout" unless ready($socket, $timeout / 1000, 1);
        $! = unpack("i", getsockopt($socket, SOL_SOCKET, SO_ERROR));
        return failure() if $!;
    }
    my $first = 1;
    for my $chunk (split /,/, $chunks) {
        select(undef, undef, undef, 0.05) unless $first;
        $first = 0;
        syswrite($socket, pack("H*", $chunk));
    }
    my $got = "";
    while ($wanted < 0 || length($got) < $wanted) {
        return "connected quiet " . unpack("H*", $got) unless ready($socket, $timeout / 1000, 0);
        my $count = sysread($socket, $got, 65536, length $got);
        return "connected " . failure() . " " . unpack("H*", $got) unless defined $count;
        return "connected end " . unpack("H*", $got) if $count == 0;
    }
    return "connected full " . unpack("H*", $got);
}

sub udp {
    my ($address, $port, $timeout, $data) = @_;
    my ($family, $to) = place($address, $port);
    socket(my $socket, $family, SOCK_DGRAM, 0) or return failure();
    connect($socket, $to) or return failure();
    defined(send($socket, pack("H*", $data), 0)) or return failure();
    return "timeout" unless ready($socket, $timeout / 1000, 0);
    defined(recv($socket, my $got, 65536, 0)) or return failure();
    return "answered full " . unpack("H*", $got);
}

sub ping {
    my ($address, $timeout) = @_;
    my ($family, $to) = place($address, 0);
    my $six = $family == AF_INET6;
    socket(my $socket, $family, SOCK_RAW, $six ? 58 : 1) or return failure();
    connect($socket, $to) or return failure();
    my $message = pack("CCnnn", $six ? 128 : 8, 0, 0, $$ & 0xffff, 1) . "workfort";
    my $sum = 0;
    $sum += $_ for unpack("n*", $message);
    $sum = ($sum & 0xffff) + ($sum >> 16);
    substr($message, 2, 2) = pack("n", ~$sum & 0xffff) unless $six;
    defined(send($socket, $message, 0)) or return failure();
    while (ready($socket, $timeout / 1000, 0)) {
        defined(recv($socket, my $got, 2048, 0)) or return failure();
        my $type = unpack("C", $six ? $got : substr($got, 4 * (unpack("C", $got) & 15), 1));
        return "answered full " . unpack("H*", $got) if $type == ($six ? 129 : 0);
    }
    return "timeout";
}

sub packet_socket {
    socket(my $socket, 17, SOCK_RAW, unpack("S", pack("n", 3))) or die "packet socket: $!\n";
    return $socket;
}

sub frames {
    my ($data) = @_;
    my $socket = packet_socket();
    my $to = pack("SniSCCa8", 17, 3, interface_index(), 0, 0, 6, "");
    for my $frame (split /,/, $data) {
        defined(send($socket, pack("H*", $frame), 0, $to)) or return failure();
    }
    return "sent";
}

sub sniff {
    my $socket = packet_socket();
    print "listening\n";
    while (defined(recv($socket, my $got, 2048, 0))) {
        print unpack("H*", substr($got, 0, 128)), "\n";
    }
}

my %attempts = (tcp => \&tcp, udp => \&udp, ping => \&ping, frames => \&frames, sniff => \&sniff);
my @running;
while (my $line = <STDIN>) {
    chomp $line;
    my ($kind, @words) = split / /, $line, -1;
    if ($kind eq "sniff") { sniff(); exit; }
    my $child = open(my $output, "-|") // die "fork: $!\n";
    if ($child == 0) {
        print eval { $attempts{$kind}->(@words) } // "failed $@";
        exit;
    }
    push @running, $output;
}
for my $output (@running) {
    local $/;
    my $answer = <$output> // "";
    $answer =~ s/\s+$//;
    print "$answer\n";
}
