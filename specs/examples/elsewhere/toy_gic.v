// Stands for an interrupt controller under test: 32 lines, an enable register, one output that is active low.
module toy_gic(input clk, input write, input [31:0] wdata, input [31:0] spi, output reg nirq);
    reg [31:0] enabled = 0;
    initial nirq = 1;
    always @(posedge clk) begin
        if (write) enabled <= enabled | wdata;
        nirq <= ~|(spi & enabled);
    end
endmodule
