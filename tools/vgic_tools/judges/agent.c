/*
 * The agent that asks KVM: the init of an arm64 kernel under QEMU, or a program on an arm64 host.
 *
 * It knows next to nothing of KVM: numbers and structures come from the client (kvm_abi.py). It reads commands from
 * standard input, one a line, and answers each with one line. Words are separated by one space, numbers are
 * hexadecimal, data is pairs of digits in the order of memory, and "-" where there is none.
 *
 *   SEQ open PATH                            a file, for reading and writing
 *   SEQ close FD
 *   SEQ call FD REQUEST ARGUMENT             an ioctl whose argument is a number
 *   SEQ give FD REQUEST DATA                 an ioctl whose argument points at DATA
 *   SEQ link FD REQUEST DATA OFFSET MORE     the same; the 8 bytes at OFFSET of DATA point at MORE
 *   SEQ ram VM SLOT ADDRESS SIZE             give a VM a slot of zeroed RAM
 *   SEQ peek VM ADDRESS SIZE                 read a VM's RAM
 *   SEQ poke VM ADDRESS DATA                 write it
 *   SEQ run VCPU MILLISECONDS                run a vCPU, at most so long; the head of its kvm_run comes back
 *   SEQ file PATH                            what a file holds
 *   SEQ reset                                close every file that was opened, forget every VM
 *
 *   SEQ RETURN ERRNO DATA MORE               the answer: ERRNO is 0 unless RETURN is -1; DATA and MORE as they are now
 *
 * A serial line is slow. Under QEMU commands can lie in the first half of a window of memory that both sides see (the
 * memory of a PCI device, ivshmem-plain), as many as fit:
 *
 *   window SIZE                              perform the commands in its first SIZE bytes
 *   window SIZE                              the answer: as many bytes of answers are in the second half
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <termios.h>
#include <unistd.h>

enum {
	LINE = 1 << 16,	  /* bytes of a command */
	DATA = LINE / 2,  /* bytes that a command can carry */
	FILES = 4096,	  /* files that may be open */
	SLOTS = 64,	  /* slots of RAM of all VMs */
	FIRST_FILE = 3,	  /* lower ones are the agent's own */
	RUN_HEAD = 72,	  /* bytes of kvm_run that are told: up to and with its kvm_exit_mmio */
};

static struct slot {
	int vm;
	uint64_t address, size;
	uint8_t *ram;
} slots[SLOTS];
static int slots_used;

static struct kvm_run *volatile running; /* of the vCPU that runs */
static struct kvm_run *runs[FILES];	 /* of each vCPU that has run, by its file */
static long run_size;

static uint8_t data[DATA], more[DATA];
static size_t data_size, more_size;

static FILE *out; /* where answers go */

static volatile uint64_t *window; /* NULL where there is none */
static size_t window_half;	  /* bytes */

static uint64_t number(char **words)
{
	return *words ? strtoull(*words, words, 16) : 0;
}

static char *word(char **words)
{
	while (*words && **words == ' ')
		++*words;
	return strsep(words, " ");
}

static int digit(int letter)
{
	return letter <= '9' ? letter - '0' : (letter | 0x20) - 'a' + 10;
}

static size_t bytes(char **words, uint8_t *into)
{
	const char *text = word(words);
	size_t size = 0;

	if (!text || *text == '-')
		return 0;
	for (; text[0] && text[1] && size < DATA; text += 2)
		into[size++] = digit(text[0]) << 4 | digit(text[1]);
	return size;
}

static void print(const uint8_t *from, size_t size)
{
	static const char digits[] = "0123456789abcdef";

	putc_unlocked(' ', out);
	if (!size)
		putc_unlocked('-', out);
	for (; size; --size, ++from) {
		putc_unlocked(digits[*from >> 4], out);
		putc_unlocked(digits[*from & 15], out);
	}
}

static long fail(int reason)
{
	errno = reason;
	return -1;
}

/* Where a VM's RAM lies, NULL where it has none. */
static uint8_t *ram_at(int vm, uint64_t address, uint64_t size)
{
	for (int slot = 0; slot < slots_used; ++slot) {
		struct slot *in = &slots[slot];

		if (in->vm == vm && address >= in->address && address - in->address <= in->size &&
		    size <= in->size - (address - in->address))
			return in->ram + (address - in->address);
	}
	return NULL;
}

static long add_ram(int vm, uint32_t slot, uint64_t address, uint64_t size)
{
	struct kvm_userspace_memory_region region = { .slot = slot, .guest_phys_addr = address, .memory_size = size };
	uint8_t *ram;
	long result;

	if (slots_used == SLOTS)
		return fail(ENFILE);
	ram = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (ram == MAP_FAILED)
		return -1;
	region.userspace_addr = (uintptr_t)ram;
	result = ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region);
	if (result < 0) {
		int reason = errno;

		munmap(ram, size);
		return fail(reason);
	}
	slots[slots_used++] = (struct slot){ vm, address, size, ram };
	return result;
}

/* A run that is interrupted just before it begins ends at once. */
static void interrupt(int signal)
{
	(void)signal;
	if (running)
		running->immediate_exit = 1;
}

static long run(int vcpu, long milliseconds)
{
	struct itimerval limit = { .it_value = { milliseconds / 1000, milliseconds % 1000 * 1000 } };
	static const struct itimerval none;
	int reason;
	long result;

	if (vcpu < 0 || vcpu >= FILES)
		return fail(EBADF);
	if (!runs[vcpu]) {
		void *mapped = mmap(NULL, run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);

		if (mapped == MAP_FAILED)
			return -1;
		runs[vcpu] = mapped;
	}
	/* Its exit_reason stays as it is: by that KVM sees that it has an access of the guest to finish. */
	runs[vcpu]->immediate_exit = 0;
	running = runs[vcpu];
	setitimer(ITIMER_REAL, &limit, NULL);
	result = ioctl(vcpu, KVM_RUN, 0);
	reason = errno;
	setitimer(ITIMER_REAL, &none, NULL);
	running = NULL;
	memcpy(data, runs[vcpu], data_size = RUN_HEAD);
	errno = reason;
	return result;
}

static long read_file(const char *path)
{
	int file = path ? open(path, O_RDONLY) : (int)fail(ENOENT);
	ssize_t size;

	if (file < 0)
		return -1;
	while (data_size < DATA && (size = read(file, data + data_size, DATA - data_size)) > 0)
		data_size += size;
	close(file);
	return data_size;
}

static long reset(void)
{
	for (int file = FIRST_FILE; file < FILES; ++file) {
		if (runs[file])
			munmap(runs[file], run_size);
		runs[file] = NULL;
	}
	close_range(FIRST_FILE, ~0u, 0);
	while (slots_used) {
		--slots_used;
		munmap(slots[slots_used].ram, slots[slots_used].size);
	}
	return 0;
}

static long perform(const char *name, char *words)
{
	data_size = more_size = 0;
	if (!strcmp(name, "open")) {
		const char *path = word(&words);

		return path ? open(path, O_RDWR | O_CLOEXEC) : fail(ENOENT);
	}
	if (!strcmp(name, "close"))
		return close(number(&words));
	if (!strcmp(name, "call")) {
		int file = number(&words);
		unsigned long request = number(&words);

		return ioctl(file, request, number(&words));
	}
	if (!strcmp(name, "give") || !strcmp(name, "link")) {
		int file = number(&words);
		unsigned long request = number(&words);

		data_size = bytes(&words, data);
		if (*name == 'l') {
			size_t offset = number(&words);
			uint8_t *target = more;

			if (offset + sizeof(target) > data_size)
				return fail(EINVAL);
			more_size = bytes(&words, more);
			memcpy(data + offset, &target, sizeof(target));
		}
		return ioctl(file, request, data);
	}
	if (!strcmp(name, "ram")) {
		int vm = number(&words);
		uint32_t slot = number(&words);
		uint64_t address = number(&words);

		return add_ram(vm, slot, address, number(&words));
	}
	if (!strcmp(name, "peek")) {
		int vm = number(&words);
		uint64_t address = number(&words);
		size_t size = number(&words);
		uint8_t *from = size <= DATA ? ram_at(vm, address, size) : NULL;

		if (!from)
			return fail(EFAULT);
		memcpy(data, from, data_size = size);
		return 0;
	}
	if (!strcmp(name, "poke")) {
		int vm = number(&words);
		uint64_t address = number(&words);
		size_t size = bytes(&words, more);
		uint8_t *to = ram_at(vm, address, size);

		if (!to)
			return fail(EFAULT);
		memcpy(to, more, size);
		return 0;
	}
	if (!strcmp(name, "run")) {
		int vcpu = number(&words);

		return run(vcpu, number(&words));
	}
	if (!strcmp(name, "file"))
		return read_file(word(&words));
	if (!strcmp(name, "reset"))
		return reset();
	return fail(ENOSYS);
}

static void answer(char *line)
{
	const char *sequence = word(&line);
	const char *name = line ? word(&line) : NULL;
	static char nothing[] = "";
	long result;

	errno = 0;
	result = name ? perform(name, line ? line : nothing) : fail(ENOSYS);
	fprintf(out, "%s %ld %d", sequence, result, result < 0 ? errno : 0);
	print(data, data_size);
	print(more, more_size);
	putc_unlocked('\n', out);
}

/* Perform the complete lines of a text; what is left of it. */
static char *perform_lines(char *start, char *end)
{
	char *line_end;

	while ((line_end = memchr(start, '\n', end - start))) {
		*line_end = 0;
		answer(start);
		start = line_end + 1;
	}
	return start;
}

/* The window is the memory of a device: it is accessed in aligned words. */
static void perform_window(size_t size)
{
	const size_t words = (size + 7) / 8;
	uint64_t *commands = size <= window_half ? malloc(8 * words) : NULL;
	char *answers = NULL;
	size_t answers_size = 0;

	if (!commands) {
		puts("window -1");
		return;
	}
	for (size_t at = 0; at < words; ++at)
		commands[at] = window[at];
	out = open_memstream(&answers, &answers_size);
	perform_lines((char *)commands, (char *)commands + size);
	for (size_t pad = 0; pad < 8; ++pad)
		putc_unlocked(0, out);
	fclose(out);
	out = stdout;
	answers_size -= 8;
	if (answers_size > window_half) {
		puts("window -1");
	} else {
		for (size_t at = 0; at < (answers_size + 7) / 8; ++at) {
			uint64_t value;

			memcpy(&value, answers + 8 * at, 8);
			window[window_half / 8 + at] = value;
		}
		printf("window %zx\n", answers_size);
	}
	free(commands);
	free(answers);
}

/* The memory of the first PCI device that has a BAR 2, which answers once the device is enabled. */
static void find_window(void)
{
	glob_t found;
	struct stat status;
	int enable, memory;

	if (glob("/sys/bus/pci/devices/*/resource2_wc", 0, NULL, &found))
		return;
	memory = open(found.gl_pathv[0], O_RDWR);
	strcpy(strrchr(found.gl_pathv[0], '/'), "/enable");
	enable = open(found.gl_pathv[0], O_WRONLY);
	if (memory >= 0 && !fstat(memory, &status) && enable >= 0 && write(enable, "1", 1) == 1) {
		void *mapped = mmap(NULL, status.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);

		if (mapped != MAP_FAILED) {
			window = mapped;
			window_half = status.st_size / 2;
		}
	}
	close(memory);
	close(enable);
	globfree(&found);
}

/* Become what an init has to be: with the file systems that are asked for, and a console that passes bytes through. */
static void become_init(void)
{
	struct termios terminal;
	int console;

	mount("none", "/dev", "devtmpfs", 0, "");
	mount("none", "/proc", "proc", 0, "");
	mount("none", "/sys", "sysfs", 0, "");
	mount("none", "/sys/kernel/debug", "debugfs", 0, "");
	console = open("/dev/ttyAMA0", O_RDWR);
	for (int file = 0; console >= 0 && file < 3; ++file)
		dup2(console, file);
	if (console > 2)
		close(console);
	if (!tcgetattr(0, &terminal)) {
		cfmakeraw(&terminal);
		tcsetattr(0, TCSANOW, &terminal);
	}
}

int main(void)
{
	static const struct rlimit files = { FILES, FILES };
	static const struct sigaction action = { .sa_handler = interrupt };
	static char line[LINE];
	static const char in_window[] = "window ";
	size_t used = 0;
	ssize_t size;
	int kvm;

	if (getpid() == 1)
		become_init();
	out = stdout;
	setrlimit(RLIMIT_NOFILE, &files);
	sigaction(SIGALRM, &action, NULL);
	kvm = open("/dev/kvm", O_RDWR);
	run_size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	close(kvm);
	find_window();
	printf("ready %zx\n", window_half);
	fflush(stdout);
	while ((size = read(0, line + used, sizeof(line) - used)) > 0) {
		char *end = line + (used += size), *rest = line;

		if (!strncmp(line, in_window, sizeof(in_window) - 1)) {
			if (end[-1] != '\n')
				continue;
			perform_window(strtoull(line + sizeof(in_window) - 1, NULL, 16));
			rest = end;
		} else {
			rest = perform_lines(line, end);
		}
		fflush(stdout);
		used = end - rest;
		memmove(line, rest, used);
		if (used == sizeof(line))
			used = 0;
	}
	if (getpid() == 1)
		reboot(RB_POWER_OFF);
	return 0;
}
